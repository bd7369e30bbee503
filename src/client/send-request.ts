import { isUnaddressable } from "../protocol.ts";
import { ChatRequestError, lostConnection, toRequestError } from "./request-error.ts";

export interface ChatClientOptions {
  /** Where the handler is mounted, as a path or a URL. Default `"/api/chat"`. */
  basePath?: string | undefined;
  /** In place of the global `fetch`. */
  fetch?: typeof globalThis.fetch | undefined;
  /** Headers of each request, or a function that returns them. */
  headers?: Headers | Record<string, string> | (() => HeadersOrPromise) | undefined;
  /** Whether cookies are sent. The browser's default is `"same-origin"`. */
  credentials?: "omit" | "same-origin" | "include" | undefined;
}

type HeadersOrPromise = Headers | Record<string, string> | Promise<Headers | Record<string, string>>;

export interface RequestToChats {
  method?: "GET" | "POST" | "PATCH" | "DELETE" | undefined;
  /** Segments of the path. */
  path?: readonly string[] | undefined;
  query?: Record<string, string | number | boolean | undefined> | undefined;
  body?: object | undefined;
  signal?: AbortSignal | undefined;
}

/** @throws {ChatRequestError} an id cannot be part of a URL. */
export function urlOf(basePath: string, { path = [], query = {} }: RequestToChats): string {
  const broken = path.find((segment) => segment === "" || isUnaddressable(segment) || /\p{Surrogate}/u.test(segment));
  if (broken !== undefined) {
    const message = `${JSON.stringify(broken)} cannot be part of a URL; expected the id of a chat or a message.`;
    throw new ChatRequestError({ code: "bad_request", status: 0 }, message);
  }
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, String(value));
  const segments = path.map((segment) => `/${encodeURIComponent(segment)}`).join("");
  // Not `size`, which Safari 16 does not have.
  const search = String(parameters) && `?${parameters}`;
  return (basePath.replace(/\/+$/, "") + segments || "/") + search;
}

/** @throws {ChatRequestError} the response is an error, or there is none. The caller's own abort stays as it is. */
export async function fetchOk(
  fetch: typeof globalThis.fetch,
  ...[url, init]: Parameters<typeof globalThis.fetch>
): Promise<Response> {
  const response = await fetch(url, init).catch((error) => {
    throw init?.signal?.aborted ? error : lostConnection(error);
  });
  if (!response.ok) throw await toRequestError(response);
  return response;
}

/** Resolves to the body of the response. */
export async function sendRequest<Result>(
  { basePath = "/api/chat", fetch = globalThis.fetch, headers, credentials }: ChatClientOptions,
  request: RequestToChats,
): Promise<Result> {
  const { method = "GET", body, signal } = request;
  const url = urlOf(basePath, request);
  const allHeaders = new Headers(typeof headers === "function" ? await headers() : headers);
  if (body) allHeaders.set("content-type", "application/json");
  const response = await fetchOk(fetch, url, {
    method,
    headers: allHeaders,
    ...(credentials && { credentials }),
    ...(body && { body: JSON.stringify(body) }),
    ...(signal && { signal }),
  });
  if (response.status === 204) return undefined as Result;
  try {
    return (await response.json()) as Result;
  } catch (error) {
    if (signal?.aborted) throw error;
    if (!(error instanceof SyntaxError)) throw lostConnection(error);
    // A login page, say.
    const message = "The response is not JSON of the chat handler.";
    throw new ChatRequestError({ code: "failed", status: response.status }, message);
  }
}

/** For requests about one chat: `otherwise`, if it does not exist. */
export const ifFound = <Result, Otherwise>(sent: Promise<Result>, otherwise: Otherwise): Promise<Result | Otherwise> =>
  sent.catch((error) => {
    if (error instanceof ChatRequestError && error.code === "not_found") return otherwise;
    throw error;
  });

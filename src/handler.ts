import type { UIMessage } from "ai";
import { failure, HttpError, toHttpError } from "./http/errors.ts";
import { type AnyOptions, type ChatHandlerOptions, type HandlerSettings, toSettings } from "./http/options.ts";
import { refuseOtherSites } from "./http/request-origin.ts";
import { emptyResponse, errorResponse } from "./http/responses.ts";
import { allowedMethods, findRoute, routeFor } from "./http/routes.ts";
import { statusOf } from "./protocol.ts";

export type {
  ChatAnswer,
  ChatAnswerContext,
  ChatErrorContext,
  ChatHandlerOptions,
} from "./http/options.ts";
export type { StandardSchema } from "./http/standard-schema.ts";
export type { ChatErrorBody, ChatErrorCode } from "./protocol.ts";

/** Responds to every request of a chat application. */
export interface ChatHandler {
  (request: Request): Promise<Response>;
  /** The handler itself, for frameworks that look for a function of each method, as Next does. */
  GET(request: Request): Promise<Response>;
  POST(request: Request): Promise<Response>;
  PATCH(request: Request): Promise<Response>;
  DELETE(request: Request): Promise<Response>;
  /** The handler itself, for servers that look for `fetch`. */
  fetch(request: Request): Promise<Response>;
}

/**
 * The HTTP of a chat application in one function: questions and their answers, live streams, stop, the list of chats,
 * pages of messages, search, rename, archive, delete, fork. Works wherever a `Request` becomes a `Response`, with ai 5, 6
 * and 7, and keeps no state. Its counterpart in the browser is `createChatClient` of `drizzle-chat-store/client`.
 *
 * @throws {TypeError} an option is not valid.
 * @typeParam M - your application's `UIMessage`, as of the store.
 * @typeParam C - the type of a chat's metadata, as of the store.
 * @typeParam Body - what the option `body` makes of what else the page sends.
 */
export function createChatHandler<M extends UIMessage = UIMessage, C = unknown, Body = undefined>(
  options: ChatHandlerOptions<M, C, Body>,
): ChatHandler {
  const settings = toSettings(options as unknown as AnyOptions);
  // One function for all methods. Servers and Next send HEAD to where they send GET.
  const handle = async (request: Request): Promise<Response> => {
    const response = await respond(settings, request);
    return request.method === "HEAD" ? withoutBody(response) : response;
  };
  return Object.assign(handle, { GET: handle, POST: handle, PATCH: handle, DELETE: handle, fetch: handle });
}

async function respond(settings: HandlerSettings, request: Request): Promise<Response> {
  const { method } = request;
  let path = "";
  const onError = async (error: unknown): Promise<void> => {
    try {
      await settings.onError(error instanceof HttpError ? error.cause : error, { method, route: path });
    } catch {
      // The client still needs its response, and a rejection that nothing handles ends the process.
    }
  };
  try {
    const { pathname, searchParams: query } = new URL(request.url);
    const found = findRoute(pathname, settings.basePath);
    if (!found)
      throw new HttpError("not_found", `There is nothing at this path. The chats are at ${settings.basePath}/.`);
    path = found.path;
    if (method === "OPTIONS") return emptyResponse({ allow: allowedMethods(found.methods) });
    const route = routeFor(found, method);
    if (method !== "GET" && method !== "HEAD") refuseOtherSites(request, settings.trustedOrigins);
    const userId = await userOf(settings, request);
    if (typeof userId !== "string") return userId;
    return await route({ settings, request, userId, params: found.params, query, onError });
  } catch (error) {
    const refusal = toHttpError(error);
    if (statusOf[refusal.code] >= 500) onError(error);
    return errorResponse(refusal);
  }
}

async function userOf({ userId: userIdOf }: HandlerSettings, request: Request): Promise<string | Response> {
  let userId: Awaited<ReturnType<typeof userIdOf>>;
  try {
    userId = await userIdOf(request);
  } catch (error) {
    throw failure(error);
  }
  if (!userId) throw new HttpError("unauthorized", "Sign in first.");
  // Not instanceof: some servers replace the global Response.
  if (typeof userId !== "string" && !userId.headers) {
    throw new TypeError("The option userId returned no string, null or Response.");
  }
  return userId;
}

function withoutBody({ body, status, headers }: Response): Response {
  void body?.cancel().catch(() => {});
  return new Response(null, { status, headers });
}

import { isUnaddressable } from "../protocol.ts";
import { answerQuestion } from "./answer-question.ts";
import * as chats from "./chat-routes.ts";
import { badRequest, HttpError } from "./errors.ts";
import type { HandlerSettings } from "./options.ts";
import { resumeStream, stopStream } from "./stream-routes.ts";

/** A request on its way to its route. */
export interface RouteCall {
  settings: HandlerSettings;
  request: Request;
  userId: string;
  /** The ids in the path. A route gets those that its path names. */
  params: { id: string; messageId: string };
  query: URLSearchParams;
  /** For a fault that occurs beside the response, or after it has begun. */
  onError: (error: unknown) => void;
}

type Method = "GET" | "POST" | "PATCH" | "DELETE";
type Route = (call: RouteCall) => Promise<Response>;

/** By the path under `basePath`. No word stands where an id may stand, so that every id works. */
const routes: Record<string, Partial<Record<Method, Route>>> = {
  "/": { GET: chats.listChats, POST: answerQuestion },
  "/:id": { GET: chats.getChat, PATCH: chats.updateChat, DELETE: chats.deleteChat },
  "/:id/fork": { POST: chats.forkChat },
  "/:id/messages/:messageId": { DELETE: chats.deleteMessage },
  "/:id/stream": { GET: resumeStream, DELETE: stopStream },
};

interface FoundRoute {
  /** The route's path, which is safe to log: it has no ids. */
  path: string;
  params: RouteCall["params"];
  methods: Partial<Record<Method, Route>>;
}

/** Finds the route of a request's path. */
export function findRoute(pathname: string, basePath: string): FoundRoute | undefined {
  if (pathname !== basePath && !pathname.startsWith(`${basePath}/`)) return undefined;
  // Some servers redirect to a path that ends with a slash.
  const segments = pathname.slice(basePath.length).split("/").slice(1);
  if (segments.at(-1) === "") segments.pop();
  for (const [path, methods] of Object.entries(routes)) {
    const names = path.split("/").slice(1).filter(Boolean);
    const isMatch =
      names.length === segments.length && names.every((name, at) => name.startsWith(":") || name === segments[at]);
    if (isMatch) return { path, methods, params: paramsIn(names, segments) };
  }
  return undefined;
}

function paramsIn(names: readonly string[], segments: readonly string[]): RouteCall["params"] {
  const ids = names.flatMap((name, at) => (name.startsWith(":") ? [[name.slice(1), decode(segments[at] ?? "")]] : []));
  return { id: "", messageId: "", ...Object.fromEntries(ids) };
}

/** Each segment is decoded once, after the path was split: an id may contain an encoded slash. */
function decode(segment: string): string {
  let id: string;
  try {
    id = decodeURIComponent(segment);
  } catch {
    throw badRequest("The path has a broken percent-encoding.");
  }
  if (isUnaddressable(id)) throw badRequest(`The path has ${JSON.stringify(id)} in place of an id.`);
  return id;
}

/** @throws {HttpError} 405, with the methods that the path has. */
export function routeFor({ methods }: FoundRoute, method: string): Route {
  const route = methods[(method === "HEAD" ? "GET" : method) as Method];
  if (route) return route;
  const headers = { allow: allowedMethods(methods) };
  throw new HttpError("method_not_allowed", `This path has no ${JSON.stringify(method.slice(0, 20))}.`, headers);
}

export function allowedMethods(methods: FoundRoute["methods"]): string {
  return [...Object.keys(methods).flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method])), "OPTIONS"].join(
    ", ",
  );
}

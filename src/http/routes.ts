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
  params: Record<"id" | "messageId" | "branchId", string>;
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
  "/:id/branches/:branchId": { POST: chats.switchBranch },
  "/:id/stream": { GET: resumeStream, DELETE: stopStream },
};

interface FoundRoute {
  /** The route's path, which is safe to log: it has no ids. */
  path: string;
  params: RouteCall["params"];
  methods: Partial<Record<Method, Route>>;
}

/** Finds the route of a request's path. A slash may follow: some servers redirect to such a path. */
export function findRoute(pathname: string, basePath: string): FoundRoute | undefined {
  if (!`${pathname}/`.startsWith(`${basePath}/`)) return undefined;
  const rest = pathname.slice(basePath.length) || "/";
  for (const [path, methods] of Object.entries(routes)) {
    const match = rest.match(`^${path.replace(/:(\w+)/g, "(?<$1>[^/]+)")}/?$`);
    if (!match) continue;
    const params = Object.entries(match.groups ?? {}).map(([name, segment]) => [name, decode(segment)]);
    return { path, methods, params: Object.fromEntries(params) };
  }
  return undefined;
}

/** Each segment is decoded once, after the path was split: an id may contain an encoded slash. */
function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw badRequest("The path has a broken percent-encoding.");
  }
}

/** @throws {HttpError} 405, with the methods that the path has. */
export function routeFor({ methods }: FoundRoute, method: string): Route {
  const route = methods[(method === "HEAD" ? "GET" : method) as Method];
  if (route) return route;
  const headers = { allow: allowedMethods(methods) };
  throw new HttpError("method_not_allowed", "This path has no such method.", headers);
}

export const allowedMethods = (methods: FoundRoute["methods"]): string =>
  `${Object.keys(methods).join(", ").replace("GET", "GET, HEAD")}, OPTIONS`;

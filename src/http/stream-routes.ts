import { streamHeaders } from "./answer-stream.ts";
import { versionIn } from "./query.ts";
import { emptyResponse, jsonResponse } from "./responses.ts";
import type { RouteCall } from "./routes.ts";

/** `GET /:id/stream`: the answer that is being generated, or was stored after the version that the page shows. */
export async function resumeStream({ settings, request, userId, params, query }: RouteCall): Promise<Response> {
  const version = versionIn(query);
  // A HEAD request has no use for the stream.
  if (request.method === "HEAD") return emptyResponse();
  const stream = await settings.store.resumeTurn({ userId, chatId: params.id, version });
  return stream ? new Response(stream, { headers: streamHeaders(stream.version) }) : emptyResponse();
}

/** `DELETE /:id/stream`: stops the answer, wherever it is being generated. */
export async function stopStream({ settings, userId, params, query }: RouteCall): Promise<Response> {
  const messageId = query.get("message") ?? undefined;
  return jsonResponse({ stopped: await settings.store.stopTurn({ userId, chatId: params.id, messageId }) });
}

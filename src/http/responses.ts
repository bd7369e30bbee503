import { type ChatErrorBody, type ClientChat, statusOf } from "../protocol.ts";
import type { Chat } from "../types.ts";
import type { HttpError } from "./errors.ts";

export function jsonResponse(body: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return Response.json(body, { status, headers: { "cache-control": "no-store", ...headers } });
}

export function emptyResponse(headers: Record<string, string> = {}): Response {
  return new Response(null, { status: 204, headers: { "cache-control": "no-store", ...headers } });
}

export function errorResponse({ code, message, headers }: HttpError): Response {
  const body: ChatErrorBody = { error: { code, message } };
  return jsonResponse(body, statusOf[code], headers);
}

/** Browsers do not get the owner's id. */
export function toClientChat({ userId: _, ...chat }: Chat): ClientChat {
  return chat;
}

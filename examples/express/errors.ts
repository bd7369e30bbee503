import { ChatConflictError, ChatOwnershipError, InvalidChatError, isRetryable } from "drizzle-chat-store";
import type { ErrorRequestHandler } from "express";

export class HttpError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export const noSuchChat = () => new HttpError(404, "There is no such chat.");

/** Whatever a handler throws becomes JSON. */
export const answerWithError: ErrorRequestHandler = (error: unknown, _request, response, next) => {
  if (response.headersSent) return next(error);
  const { status, message } = describe(error);
  response.status(status).json({ error: message });
};

/** What the client did wrong; or that it was not the client, who is not told more then. */
export function describe(error: unknown): { status: number; message: string } {
  if (InvalidChatError.isInstance(error)) return { status: 400, message: error.message };
  if (ChatOwnershipError.isInstance(error)) return noSuchChat();
  if (ChatConflictError.isInstance(error)) {
    return { status: 409, message: "The chat has changed meanwhile. Load it again." };
  }
  if (error instanceof SyntaxError && "body" in error) return { status: 400, message: "The body is not valid JSON." };
  if (error instanceof HttpError) return error;
  // What Express itself refuses, such as a body that is too large.
  if (error instanceof Error && "status" in error && typeof error.status === "number" && error.status < 500) {
    return { status: error.status, message: error.message };
  }
  console.error(error);
  return isRetryable(error)
    ? { status: 503, message: "That did not work just now. Send it again." }
    : { status: 500, message: "Something went wrong." };
}

import { ChatConflictError, ChatOwnershipError, InvalidChatError, isRetryable } from "drizzle-chat-store";
import type { ErrorRequestHandler } from "express";
import { z } from "zod";

export class HttpError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export const noSuch = (what: string) => new HttpError(404, `There is no such ${what}.`);

/** What the client has sent, if it has the shape that it should have. */
export function checked<T>(shape: z.ZodType<T>, sent: unknown): T {
  if (sent === undefined) {
    throw new HttpError(400, "Expected a JSON object, with the header content-type: application/json");
  }
  const { data, error } = shape.safeParse(sent);
  if (error) throw new HttpError(400, z.prettifyError(error));
  return data;
}

/** Whatever a handler throws becomes JSON, also where it was about to answer with something else. */
export const answerWithError: ErrorRequestHandler = (error: unknown, _request, response, next) => {
  if (response.headersSent) return next(error);
  const { status, message } = describe(error);
  if (status === 429 || status === 503) response.set("retry-after", "2");
  response.status(status).type("json").json({ error: message });
};

/** What the client did wrong; or that it was not the client, who is not told more then. */
export function describe(error: unknown): { status: number; message: string } {
  if (InvalidChatError.isInstance(error)) return { status: 400, message: error.message };
  if (ChatOwnershipError.isInstance(error)) return noSuch("chat");
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

import type { ChatConflictError, InvalidChatError } from "../errors/errors.ts";
import { isStoreError, wasDatabaseAway } from "../errors/is-store-error.ts";
import type { ChatErrorCode } from "../protocol.ts";

/** An error that becomes the response: its message is for the client. */
export class HttpError extends Error {
  readonly code: ChatErrorCode;
  readonly headers: Record<string, string>;

  constructor(code: ChatErrorCode, message: string, headers: Record<string, string> = {}) {
    super(message);
    this.code = code;
    this.headers = headers;
  }
}

/** A fault of the server. The client learns only that there is one. */
export const failure = (cause: unknown): HttpError =>
  Object.assign(new HttpError("failed", "Something went wrong."), { cause });

export const badRequest = (message: string): HttpError => new HttpError("bad_request", message);

export const notFound = (what = "chat"): HttpError => new HttpError("not_found", `There is no such ${what}.`);

export const isInvalid = (error: unknown): error is InvalidChatError => isStoreError(error, "INVALID_CHAT");

/** The response to an error of the store, or of the handler itself. */
export function toHttpError(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  if (isInvalid(error) && !isFaultOfServer(error)) return badRequest(error.message);
  // A chat of another user looks like one that does not exist.
  if (isStoreError(error, "CHAT_NOT_OWNED")) return notFound();
  if (isStoreError(error, "CHAT_CONFLICT")) {
    const isTaken = (error as ChatConflictError).reason === "id-taken";
    return new HttpError(
      "conflict",
      isTaken ? "You have a chat with this id already." : "The chat has changed. Load it again.",
    );
  }
  if (wasDatabaseAway(error)) {
    const message = "The database is not available. Send the request again.";
    return new HttpError("unavailable", message, { "retry-after": "2" });
  }
  return failure(error);
}

/** The store checks what the application passes, too: the user's id and the database. */
const isFaultOfServer = ({ issues }: InvalidChatError) =>
  issues.some(({ path: [key] }) => key === "userId" || key === "db");

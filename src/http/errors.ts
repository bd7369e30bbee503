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

/** An error of the application's own code, such as `answer`. Always a 500, also if it looks like an error of the store. */
export class ApplicationError extends Error {
  constructor(cause: unknown) {
    super("The application's code threw.", { cause });
  }
}

export const badRequest = (message: string): HttpError => new HttpError("bad_request", message);

export const notFound = (what = "chat"): HttpError => new HttpError("not_found", `There is no such ${what}.`);

export const isInvalid = (error: unknown): error is InvalidChatError => isStoreError(error, "INVALID_CHAT");

/** What the client is told of an error. Of a fault of the server, it learns only that there is one. */
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
  return new HttpError("failed", "Something went wrong.");
}

/** The store checks what the application passes, too: the user's id and the database. */
const isFaultOfServer = ({ issues }: InvalidChatError) =>
  issues.some(({ path: [key] }) => key === "userId" || key === "db");

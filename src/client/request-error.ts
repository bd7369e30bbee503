import { type ChatErrorBody, type ChatErrorCode, statusOf } from "../protocol.ts";

/**
 * A request to the chat handler failed.
 *
 * It is a TypeError, because `fetch` throws one when the connection is lost, and by that the SDK's `useChat` knows that it
 * can resume.
 */
export class ChatRequestError extends TypeError {
  override readonly name = "ChatRequestError";
  /** What is wrong. `too_many_requests` comes from your own limiter; `network`: there was no response. */
  readonly code: ChatErrorCode | "too_many_requests" | "network";
  /** The status of the response; 0 if there was none. */
  readonly status: number;
  /** Seconds after which the server expects the request again; `null` if it does not say. */
  readonly retryAfter: number | null;

  constructor(
    { code, status, retryAfter = null }: Pick<ChatRequestError, "code" | "status"> & { retryAfter?: number | null },
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = code;
    this.status = status;
    this.retryAfter = retryAfter;
  }

  /** Whether the same request may succeed later. */
  get isRetryable(): boolean {
    const { code, status } = this;
    return code !== "bad_request" && (status < 400 || status > 499 || status === 409 || status === 429);
  }
}

/** The SDK looks for the word "network" to tell a lost connection from other errors. */
export const lostConnection = (cause: unknown): ChatRequestError =>
  new ChatRequestError({ code: "network", status: 0 }, "The network connection was lost.", { cause });

/** An error for a response that is not what the client has asked for. */
export async function toRequestError(response: Response): Promise<ChatRequestError> {
  const { status, headers } = response;
  const body = (await response.json().catch(() => null)) as Partial<ChatErrorBody> | null;
  const { code = codeOf(status), message = `The server responded with status ${status}.` } = body?.error ?? {};
  return new ChatRequestError({ code, status, retryAfter: secondsIn(headers.get("retry-after")) }, message);
}

/** For a response that another server has sent: a proxy, a limiter, a login page. */
function codeOf(status: number): ChatRequestError["code"] {
  if (status === 429) return "too_many_requests";
  // Not a missing chat: the handler is not at this path.
  if (status === 404) return "failed";
  const known = Object.entries(statusOf).find(([, statusOfCode]) => statusOfCode === status);
  return known ? (known[0] as ChatErrorCode) : "failed";
}

/** A number of seconds, or a date. */
function secondsIn(retryAfter: string | null): number | null {
  if (!retryAfter) return null;
  const seconds = /^\d+$/.test(retryAfter) ? Number(retryAfter) : (Date.parse(retryAfter) - Date.now()) / 1_000;
  return Number.isNaN(seconds) ? null : Math.max(0, Math.ceil(seconds));
}

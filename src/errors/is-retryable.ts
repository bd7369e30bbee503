import { retryableMessages } from "./driver-messages.ts";
import { ChatStoreError, InvalidChatError } from "./errors.ts";
import { codeOf } from "./sqlstate.ts";

/**
 * Whether the same call may be made again and may then succeed: the database was away, refused for the moment, or let
 * another writer go first. Looks through what the store, Drizzle and Node wrap around the driver's error.
 *
 * Making the call again is safe also when nobody knows whether the first one took effect, because the connection broke
 * before the answer: a save whose content is stored already writes nothing and succeeds, also with `expectedVersion`.
 * Only if somebody else saved in between is there a conflict, and rightly so.
 *
 * False for what would fail again: the store's own refusals, constraint violations, missing permissions, statements that
 * were cancelled or ran out of time, a pool that the application has closed. Wait a little before trying again, and not
 * for ever: a full disk or a wrong host name can look like one that passes.
 *
 * In a transaction of your own the transaction is lost with the statement. Retry all of that, from its beginning.
 */
export function isRetryable(error: unknown): boolean {
  // A Set goes on to what is added while it is walked, and skips what it has had: causes may form a circle.
  const errors = new Set([error]);
  for (const each of errors) {
    // The cause of an InvalidChatError is what the caller's own input threw when it was read.
    if (typeof each !== "object" || each === null || InvalidChatError.isInstance(each)) continue;
    if (isTransient(each)) return true;
    errors.add(ChatStoreError.isInstance(each) ? each.originalCause : "cause" in each && each.cause);
    if ("sourceError" in each) errors.add(each.sourceError); // Neon over HTTP, whose errors have no cause.
    // An AggregateError: a host name stands for several addresses, and none of them answered.
    if ("errors" in each && Array.isArray(each.errors)) for (const one of each.errors) errors.add(one);
  }
  return false;
}

function isTransient(error: object): boolean {
  const code = codeOf(error);
  if (code === undefined) {
    return "message" in error && typeof error.message === "string" && retryableMessages.has(error.message);
  }
  // Connecting to a Unix socket that a stopped server has removed. Any other missing file stays missing.
  if (code === "ENOENT") return "syscall" in error && error.syscall === "connect";
  return transientCodes.has(code) || transientClasses.test(code);
}

/**
 * SQLSTATEs that begin like this: connection exceptions (08), which PgBouncer also answers with when it has no server to
 * give (08P01, `send_pooler_error` in its src/proto.c), and insufficient resources (53).
 * @see https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const transientClasses = /^(08|53)...$/;

const transientCodes = new Set([
  // Other SQLSTATEs, from the same appendix.
  "25006", // read_only_sql_transaction: connected to a standby, as after a failover
  "25P03", // idle_in_transaction_session_timeout: this process was too slow between two statements
  "40001", // serialization_failure
  "40003", // statement_completion_unknown
  "40P01", // deadlock_detected
  "55P03", // lock_not_available: lock_timeout ran out
  "57P01", // admin_shutdown
  "57P02", // crash_shutdown
  "57P03", // cannot_connect_now: starting up, shutting down, recovering
  "57P05", // idle_session_timeout
  "58030", // io_error: what Citus says when a worker is gone while it writes there
  // Left out on purpose. 57014 query_canceled and 25P04 transaction_timeout: somebody stopped it, or it is too much for
  // the limit. 57P04 database_dropped.

  // The operating system's, as Node gives them: https://nodejs.org/api/errors.html#common-system-errors
  "EAI_AGAIN",
  "ECONNABORTED",
  "ECONNREFUSED",
  "ECONNRESET",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "ENETDOWN",
  "ENETUNREACH",
  "ENOTFOUND", // A name is gone for a moment when a failover moves it.
  "EPIPE",
  "ETIMEDOUT",

  // postgres.js, src/connection.js. CONNECTION_ENDED and CONNECTION_DESTROYED mean that the application called end().
  "CONNECTION_CLOSED",
  "CONNECT_TIMEOUT",

  // Bun's own driver: https://bun.com/docs/runtime/sql#postgresql-connection-errors
  "ERR_POSTGRES_CONNECTION_CLOSED",
  "ERR_POSTGRES_CONNECTION_REFUSED",
  "ERR_POSTGRES_CONNECTION_TIMEOUT",

  // fetch, for drivers over HTTP: https://github.com/nodejs/undici/blob/main/docs/docs/api/Errors.md
  "UND_ERR_CONNECT_TIMEOUT",
  "UND_ERR_SOCKET",
]);

import { retryableMessages } from "./driver-messages.ts";
import { isStoreError } from "./is-store-error.ts";
import { codeOf } from "./sqlstate.ts";

/**
 * Whether you may retry the same call: the database was away, refused the call for the moment, or let another writer go
 * first. Also looks at the errors that the store, Drizzle and Node wrap around the driver's error.
 *
 * Retrying is safe even if the connection broke before the answer, so that the first call may have taken effect: a save
 * whose content is already stored writes nothing and succeeds, also with `expectedVersion`. It conflicts only if
 * another writer saved in between.
 *
 * False for errors that would repeat: the store's own refusals, constraint violations, missing permissions, statements
 * that were cancelled or timed out, and a pool that the application has closed. Wait a little before you retry, and
 * limit the number of retries: a full disk or a wrong host name can look like a temporary failure.
 *
 * In a transaction of your own, a failed statement aborts the transaction. Retry all of it, from its beginning.
 */
export function isRetryable(error: unknown): boolean {
  // A loop over a Set also visits values that are added meanwhile, each once. Causes may form a circle.
  const errors = new Set([error]);
  for (const found of errors) {
    // The cause of an InvalidChatError comes from the caller's own input, which threw when it was read.
    if (typeof found !== "object" || found === null || isStoreError(found, "INVALID_CHAT")) continue;
    if (isTransient(found)) return true;
    errors.add(isStoreError(found) ? found.originalCause : "cause" in found && found.cause);
    if ("sourceError" in found) errors.add(found.sourceError); // Neon over HTTP, whose errors have no cause.
    // An AggregateError: a host name stands for several addresses, and none answered.
    if ("errors" in found && Array.isArray(found.errors)) for (const one of found.errors) errors.add(one);
  }
  return false;
}

function isTransient(error: object): boolean {
  const code = codeOf(error);
  if (code === undefined) {
    return "message" in error && typeof error.message === "string" && retryableMessages.has(error.message);
  }
  // A stopped server has removed its Unix socket. Any other missing file stays missing.
  if (code === "ENOENT") return "syscall" in error && error.syscall === "connect";
  return transientCodes.has(code) || transientClasses.test(code);
}

/**
 * Classes of SQLSTATEs: connection exceptions (08), which PgBouncer also reports when it has no free server (08P01,
 * `send_pooler_error` in its src/proto.c), and insufficient resources (53).
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
  "58030", // io_error: Citus reports this when a worker goes away during a write
  // Left out on purpose: 57014 query_canceled and 25P04 transaction_timeout, because the statement was cancelled or
  // takes too long, and 57P04 database_dropped.

  // Errors of the operating system, as Node reports them: https://nodejs.org/api/errors.html#common-system-errors
  "EAI_AGAIN",
  "ECONNABORTED",
  "ECONNREFUSED",
  "ECONNRESET",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "ENETDOWN",
  "ENETUNREACH",
  "ENOTFOUND", // During a failover a name may be missing for a moment.
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

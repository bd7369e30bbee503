import type { ChatStoreError, ChatStoreErrorCode } from "./errors.ts";

/**
 * Marks the errors of this package. Registered globally, so that an error made by a second copy of the package is still
 * recognised. Its value says whether the database was only away: known when the error is made, so that the handler need
 * not bring the list of transient errors along.
 */
export const storeErrorMarker = Symbol.for("drizzle-chat-store.error");

/** Whether this package has thrown the error; with `code`, whether it is of this kind. */
export const isStoreError = (error: unknown, code?: ChatStoreErrorCode): error is ChatStoreError =>
  typeof error === "object" &&
  error !== null &&
  storeErrorMarker in error &&
  (code === undefined || ("code" in error && error.code === code));

/** Whether a call of the store failed because the database was away, and may be repeated. */
export const wasDatabaseAway = (error: unknown): boolean =>
  isStoreError(error, "QUERY_FAILED") &&
  (error as { [storeErrorMarker]?: { isRetryable?: boolean } })[storeErrorMarker]?.isRetryable === true;

import { ChatStoreError } from "../errors/errors.ts";
import { sqlState, sqlStateOf } from "../errors/sqlstate.ts";
import type { Context } from "./context.ts";
import { isTransaction } from "./transaction.ts";

/**
 * The outcome of a write that changed nothing, because another writer changed the chat's row after it was read. The
 * caller reads and writes again.
 */
export const writeConflict = Symbol("write conflict");
export type WriteConflict = typeof writeConflict;

/** More failures than this are no contention. A trigger that suppresses every update looks like this, for example. */
const maxAttempts = 50;

/**
 * Runs `work` until its outcome is something else than a write conflict. Above read committed Postgres reports
 * conflicts and deadlocks as errors: those are retried, too, unless they have aborted a transaction of the caller's.
 */
export async function retryOnConflict<T>(
  context: Context,
  work: (attempt: number) => Promise<T | WriteConflict>,
): Promise<T> {
  for (let attempt = 1; attempt <= maxAttempts; attempt++) {
    try {
      const outcome = await work(attempt);
      if (outcome !== writeConflict) return outcome as T;
    } catch (error) {
      if (!isConflict(error) || isTransaction(context)) throw error;
    }
  }
  throw tooManyConflicts();
}

function isConflict(error: unknown): boolean {
  const state = sqlStateOf(error);
  return state === sqlState.serializationFailure || state === sqlState.deadlockDetected;
}

/** The cause has the SQLSTATE of a serialization failure, by which `isRetryable` recognises the error. */
const tooManyConflicts = () =>
  new ChatStoreError(
    "QUERY_FAILED",
    `Gave up after ${maxAttempts} attempts, because other writers kept changing this chat. ` +
      "Nothing was changed: retry the call.",
    { cause: Object.assign(new Error("Every attempt met a write conflict."), { code: sqlState.serializationFailure }) },
  );

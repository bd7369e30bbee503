import { InvalidChatError } from "../errors/errors.ts";
import type { Context } from "./context.ts";

/** Whether the database is a transaction: the caller's, or one that the store has begun. */
export const isTransaction = ({ db }: Pick<Context, "db">): boolean => "rollback" in db;

/** For methods that work on after they return. `why`: what is wrong with a transaction, and what to do instead. */
export function refuseTransaction(context: Context, why: string): void {
  if (!isTransaction(context)) return;
  throw new InvalidChatError([{ path: ["db"], message: `is a transaction, which ${why}` }]);
}

/**
 * Runs `work` in a transaction or, within one, in a savepoint. Runs `fallback` if the driver has no transactions, as
 * drivers over HTTP. (If it was the connection that failed, the statements of `fallback` fail, too.)
 *
 * At read committed, whatever the database defaults to: at the higher levels, a statement that has waited for a lock
 * may not read what was committed in the meantime, and fails. A transaction of the caller's keeps its own level.
 */
export async function inTransaction<T>(
  context: Context,
  work: (context: Context) => Promise<T>,
  fallback?: () => Promise<T>,
): Promise<T> {
  let hasBegun = false;
  try {
    return await context.db.transaction(
      (tx) => {
        hasBegun = true;
        return work({ ...context, db: tx });
      },
      { isolationLevel: "read committed" },
    );
  } catch (error) {
    if (hasBegun || !fallback) throw error;
    return fallback();
  }
}

import { InvalidChatError } from "../errors.ts";
import type { ChatDatabase } from "../types.ts";

/** Whether a database is a transaction of the caller's. */
export const isTransaction = (db: ChatDatabase): boolean => "rollback" in db;

/** For what goes on after the call: `why` it cannot in a transaction of the caller's, and what to do instead. */
export function refuseTransaction(db: ChatDatabase, why: string): void {
  if (!isTransaction(db)) return;
  throw new InvalidChatError([{ path: ["db"], message: `is a transaction, which ${why}` }]);
}

/**
 * Does `work` in a transaction, or calls `without` where the driver has none, as those over HTTP. (If it was the connection
 * that failed, so will the next statement.)
 *
 * At read committed, whatever the database defaults to: at the higher levels, who has waited for a lock may not read what was
 * committed meanwhile, and has to lose. A transaction of the caller's keeps its own level.
 */
export async function inTransaction<T>(
  db: ChatDatabase,
  work: (tx: ChatDatabase) => Promise<T>,
  without?: () => Promise<T>,
): Promise<T> {
  let begun = false;
  try {
    return await db.transaction(
      (tx) => {
        begun = true;
        return work(tx);
      },
      { isolationLevel: "read committed" },
    );
  } catch (error) {
    if (begun || !without) throw error;
    return without();
  }
}

import { sql } from "drizzle-orm";
import { execute } from "../database/execute.ts";
import { retryOvertaken } from "../database/retry-overtaken.ts";
import { inTransaction } from "../database/transaction.ts";
import { type Asker, type ChatTables, ownedByAsker } from "../schema.ts";
import type { ChatDatabase, StoreSettings } from "../types.ts";

/**
 * Does `work`, which reads a chat and saves it if it is still as it was read, and gives undefined if it is not. Then it is done
 * again with the chat locked from reading to saving: on a busy chat, who merely tries again is overtaken again, and gives up. More than
 * twice only where nothing can be locked: without transactions, or while the chat is created.
 */
export function takeTurns<T>(
  db: ChatDatabase,
  tables: ChatTables,
  ids: Asker & { chatId: string },
  settings: StoreSettings,
  work: (db: ChatDatabase) => Promise<T | undefined>,
): Promise<T> {
  return retryOvertaken(db, (attempt) =>
    attempt === 1 && !settings.portable ? work(db) : withLock(db, tables, ids, settings, work),
  );
}

function withLock<T>(
  db: ChatDatabase,
  { chats }: ChatTables,
  { chatId, ...asker }: Asker & { chatId: string },
  { portable }: StoreSettings,
  work: (db: ChatDatabase) => Promise<T>,
): Promise<T> {
  return inTransaction(
    db,
    async (tx) => {
      // A statement of its own: only a later one sees what was committed while this one waited.
      await execute(tx, {
        select: { locked: sql`1` },
        from: sql`${chats} where chats.id = ${chatId} and ${ownedByAsker(chats, asker)} for update`,
      });
      return work(tx);
    },
    // A portable save is several statements: without a transaction a failure would leave some of them.
    portable ? undefined : () => work(db),
  );
}

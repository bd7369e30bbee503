import { sql } from "drizzle-orm";
import { sqlStateOf } from "../database/sqlstate.ts";
import { inTransaction } from "../database/transaction.ts";
import { otherWritersCameFirst } from "../database/typed-errors.ts";
import { type ChatTables, ownedBy } from "../schema.ts";
import type { ChatDatabase, StoreSettings } from "../types.ts";

/** How often work may be overtaken where nothing can be locked: without transactions, or while the chat is created. */
const maxAttempts = 50;

/**
 * Does `work`, which reads a chat and saves it if it is still as it was read, and gives undefined if it is not. Then it is done
 * again with the chat locked from reading to saving: on a busy chat, who merely tries again is overtaken again, and gives up.
 */
export async function takeTurns<T>(
  db: ChatDatabase,
  tables: ChatTables,
  ids: { userId: string; chatId: string },
  { portable }: StoreSettings,
  work: (db: ChatDatabase) => Promise<T | undefined>,
): Promise<T> {
  for (let attempt = 1; attempt <= maxAttempts; attempt++) {
    const done = await (attempt === 1 && !portable ? unlessRaced(work(db)) : withLock(db, tables, ids, work));
    if (done !== undefined) return done;
  }
  throw otherWritersCameFirst(maxAttempts);
}

/** Where the database defaults to a higher level than read committed, that another writer came first is an error. */
async function unlessRaced<T>(work: Promise<T | undefined>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (sqlStateOf(error) === "40001") return undefined;
    throw error;
  }
}

function withLock<T>(
  db: ChatDatabase,
  { chats }: ChatTables,
  { userId, chatId }: { userId: string; chatId: string },
  work: (db: ChatDatabase) => Promise<T>,
): Promise<T> {
  return inTransaction(
    db,
    async (tx) => {
      // A statement of its own: only a later one sees what was committed while this one waited.
      await tx.execute(sql`select from ${chats} where chats.id = ${chatId} and ${ownedBy(chats, userId)} for update`);
      return work(tx);
    },
    () => work(db),
  );
}

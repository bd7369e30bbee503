import { and, eq } from "drizzle-orm";
import { ChatConflictError } from "../errors.ts";
import { type ChatTables, ownedBy } from "../schema.ts";
import type { ChatDatabase } from "../types.ts";

/** How often work may be overtaken where nothing can be locked: without transactions, or while the chat is created. */
const maxAttempts = 50;

/**
 * Does `work`, which reads a chat and saves it on the version it has read. If somebody else saves in between, it is done again
 * with the chat locked from reading to saving: on a busy chat, who merely tries again is overtaken again, and gives up.
 */
export async function takeTurns<T>(
  db: ChatDatabase,
  tables: ChatTables,
  ids: { userId: string; chatId: string },
  work: (db: ChatDatabase) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await (attempt === 1 ? work(db) : withLock(db, tables, ids, work));
    } catch (error) {
      if (!ChatConflictError.isInstance(error) || attempt === maxAttempts) throw error;
    }
  }
}

async function withLock<T>(
  db: ChatDatabase,
  { chats }: ChatTables,
  { userId, chatId }: { userId: string; chatId: string },
  work: (db: ChatDatabase) => Promise<T>,
): Promise<T> {
  let begun = false;
  try {
    return await db.transaction(
      async (tx) => {
        begun = true;
        // A statement of its own: only a later one sees what was committed while this one waited.
        const owned = and(eq(chats.id, chatId), ownedBy(chats, userId));
        await tx.select({ id: chats.id }).from(chats).where(owned).for("update");
        return work(tx);
      },
      // At the higher levels, who has waited for a lock may not read what was committed meanwhile.
      { isolationLevel: "read committed" },
    );
  } catch (error) {
    // A driver over HTTP has no transactions.
    if (begun) throw error;
    return work(db);
  }
}

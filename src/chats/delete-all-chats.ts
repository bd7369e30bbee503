import { type SQL, sql } from "drizzle-orm";
import { execute, executeChange } from "../database/execute.ts";
import { retryOvertaken } from "../database/retry-overtaken.ts";
import { asUser } from "../database/row-level-security.ts";
import { columnsNamed } from "../database/statement.ts";
import { deleteAllChatsInput, parseInput } from "../input.ts";
import { type ChatTables, ownedBy } from "../schema.ts";
import type { ChatDatabase, DeleteAllChatsInput, StoreSettings } from "../types.ts";

/** Chats that go at once: nobody waits long for the lock of one of them, and what is interrupted goes on from there. */
const batch = 100;

export async function deleteAllChats(
  db: ChatDatabase,
  { chats }: ChatTables,
  input: DeleteAllChatsInput,
  settings: StoreSettings,
): Promise<number> {
  const { userId } = parseInput(deleteAllChatsInput, input);
  const owned = ownedBy(chats, userId);
  const first = sql`select chats.id from ${chats} where ${owned} order by chats.id limit ${batch}`;
  const remove = (ids: SQL) => sql`delete from ${chats} where ${owned} and chats.id in (${ids})`;
  const found = sql`select exists (select 1 from ${chats} where ${owned})::int found`;
  for (let total = 0; ; ) {
    const { deleted, found } = await asUser(db, { userId }, settings, (db) =>
      retryOvertaken(db, async () => {
        const result = await (settings.portable ? removePortably(db) : removeInOneStatement(db));
        // Who has waited for the batch of a second call finds it gone, and others still there.
        return result.found && result.deleted === 0 ? undefined : result;
      }),
    );
    if (!found) return total;
    total += deleted;
  }

  async function removeInOneStatement(db: ChatDatabase): Promise<Removed> {
    const [result = { deleted: 0, found: 0 }] = await execute<Removed>(db, {
      with: {
        removed: sql`${remove(sql`${first} for update`)} returning 1`,
        seen: sql`select (select count(*) from removed)::int deleted, (${found})`,
      },
      select: columnsNamed("deleted", "found"),
      from: sql`seen`,
    });
    return result;
  }

  /** Over shards there is no order of locks: who loses a deadlock tries again. */
  async function removePortably(db: ChatDatabase): Promise<Removed> {
    const [seen = { found: 0 }] = await execute<Pick<Removed, "found">>(db, {
      with: { seen: found },
      select: columnsNamed("found"),
      from: sql`seen`,
    });
    const removed = seen.found ? await executeChange(db, sql`${remove(first)} returning 1 deleted`, "deleted") : [];
    return { ...seen, deleted: removed.length };
  }
}

interface Removed {
  deleted: number;
  /** Whether there was any chat to delete. */
  found: 0 | 1;
}

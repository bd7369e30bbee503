import { sql } from "drizzle-orm";
import { execute } from "../database/execute.ts";
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
  const statement = {
    with: {
      removed: sql`delete from ${chats} where ${owned} and chats.id in (select chats.id from ${chats} where ${owned} order by chats.id limit ${batch} for update)
returning 1`,
      seen: sql`select (select count(*) from removed)::int deleted, (exists (select from ${chats} where ${owned}))::int found`,
    },
    select: columnsNamed("deleted", "found"),
    from: sql`seen`,
  };
  for (let total = 0; ; ) {
    const { deleted, found } = await asUser(db, { userId }, settings, (db) =>
      retryOvertaken(db, async () => {
        const [result = { deleted: 0, found: 0 }] = await execute<{ deleted: number; found: 0 | 1 }>(db, statement);
        // Who has waited for the batch of a second call finds it gone, and others still there.
        return result.found && result.deleted === 0 ? undefined : result;
      }),
    );
    if (!found) return total;
    total += deleted;
  }
}

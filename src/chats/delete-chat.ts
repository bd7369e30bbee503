import type { Context } from "../database/context.ts";
import { query } from "../database/query.ts";
import { retryOnConflict, writeConflict } from "../database/retry-on-conflict.ts";
import { sql } from "../database/sql.ts";
import type { chatInput, Parsed } from "../input.ts";
import { ownedBy } from "../schema.ts";

/** Foreign keys delete the chat's messages and turns. A running turn notices with its next heartbeat. */
export async function deleteChat(context: Context, { userId, chatId }: Parsed<typeof chatInput>): Promise<boolean> {
  const { chats } = context.tables;
  const fromChat = sql`from ${chats} where chats.id = ${chatId} and ${ownedBy(chats, userId)}`;
  return retryOnConflict(context, async () => {
    const [outcome] = await query<{ deleted: 0 | 1; found: 0 | 1 }>(context, {
      ctes: {
        deleted_chat: sql`delete ${fromChat} returning 1`,
        outcome: sql`
          select (exists (table deleted_chat))::int as deleted, (exists (select ${fromChat}))::int as found`,
      },
      columns: ["deleted", "found"],
      from: sql`outcome`,
    });
    // Found and not deleted: another writer changed the row while the delete waited for it.
    return outcome?.deleted === outcome?.found ? outcome?.deleted === 1 : writeConflict;
  });
}

import { sql } from "drizzle-orm";
import { execute } from "../database/execute.ts";
import { retryOvertaken } from "../database/retry-overtaken.ts";
import { asUser } from "../database/row-level-security.ts";
import { columnsNamed } from "../database/statement.ts";
import { chatInput, parseInput } from "../input.ts";
import { type ChatTables, ownedBy } from "../schema.ts";
import type { ChatDatabase, DeleteChatInput, StoreSettings } from "../types.ts";

/** Its messages and turns go with it, by their foreign keys. A turn that runs learns of it with its next sign of life. */
export async function deleteChat(
  db: ChatDatabase,
  { chats }: ChatTables,
  input: DeleteChatInput,
  settings: StoreSettings,
): Promise<boolean> {
  const { userId, chatId } = parseInput(chatInput, input);
  const chosen = sql`from ${chats} where chats.id = ${chatId} and ${ownedBy(chats, userId)}`;
  const statement = {
    with: {
      deleted: sql`delete ${chosen} returning 1`,
      found: sql`select (exists (table deleted))::int deleted, (exists (select 1 ${chosen}))::int seen`,
    },
    select: columnsNamed("deleted", "seen"),
    from: sql`found`,
  };
  return asUser(db, { userId }, settings, (db) =>
    retryOvertaken(db, async () => {
      const [found] = await execute<{ deleted: 0 | 1; seen: 0 | 1 }>(db, statement);
      return found?.deleted === found?.seen ? found?.deleted === 1 : undefined;
    }),
  );
}

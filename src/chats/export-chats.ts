import type { UIMessage } from "ai";
import { sql } from "drizzle-orm";
import { loadChat } from "../conversation/load-chat.ts";
import { toMessage } from "../conversation/messages.ts";
import { execute } from "../database/execute.ts";
import { asUser } from "../database/row-level-security.ts";
import { columnsNamed } from "../database/statement.ts";
import { withTypedErrors } from "../database/typed-errors.ts";
import { exportChatsInput, parseInput } from "../input.ts";
import { type ChatTables, ownedBy } from "../schema.ts";
import type { ChatDatabase, ChatWithMessages, ExportChatsInput, StoreSettings } from "../types.ts";

/** Ids that are read at once. */
const pageLength = 1_000;

/** In the order of their ids, which never change: in that of their activity, a chat that is saved meanwhile would be passed over. */
export async function* exportChats<M extends UIMessage>(
  db: ChatDatabase,
  tables: ChatTables,
  input: ExportChatsInput,
  settings: StoreSettings,
): AsyncGenerator<ChatWithMessages<M>, void, void> {
  const { userId } = parseInput(exportChatsInput, input);
  const read = <T>(work: (db: ChatDatabase) => Promise<T>) =>
    withTypedErrors("exportChats", tables, asUser(db, { userId }, settings, work));

  for (let after = ""; ; ) {
    const page = await read((db) => execute<{ id: string }>(db, pageOfIds(tables, userId, after)));
    for (const { id } of page) {
      // Null if it was deleted meanwhile.
      const stored = await read((db) => loadChat(db, tables, { userId, chatId: id }));
      if (stored) yield { ...stored.chat, messages: stored.rows.map((row) => toMessage<M>(row)) };
    }
    const last = page.at(-1);
    if (!last || page.length < pageLength) return;
    after = last.id;
  }
}

/** `offset 0` keeps the two apart, or Postgres might walk through the ids of all users. */
const pageOfIds = ({ chats }: ChatTables, userId: string, after: string) => ({
  with: { mine: sql`select chats.id from ${chats} where ${ownedBy(chats, userId)} offset 0` },
  select: columnsNamed("id"),
  from: sql`mine where id > ${after} order by id limit ${pageLength}`,
});

import { sql } from "drizzle-orm";
import { execute, parseChat } from "../database/execute.ts";
import { type ChatTables, ownedBy } from "../schema.ts";
import type { Chat, ChatDatabase } from "../types.ts";
import type { MessageRow } from "./messages.ts";

/** A chat of this user and its messages in order, as they are stored. Digests are "" unless they are asked for. */
export async function loadChat(
  db: ChatDatabase,
  { chats, messages }: ChatTables,
  { userId, chatId }: { userId: string; chatId: string },
  { digests = false } = {},
): Promise<{ chat: Chat; rows: MessageRow[] } | null> {
  // One statement, one snapshot: two could pair a title with the messages of another version. The chat is a row of its
  // own, because repeating it with every message costs more than the messages' ids and roles. JSON is read as text:
  // drivers parse JSON null and SQL NULL to the same null, and may parse JSON in ways of their own.
  const rows = await execute<MessageRow & { order: number }>(
    db,
    sql`with chat as (
select * from ${chats} where id = ${chatId} and ${ownedBy(chats, userId)}
)
select null id, null role, to_json(chat)::text parts, null metadata, -1 "order", '' digest from chat
union all
select id, role, parts::text, metadata::text, "order", ${digests ? sql`encode(digest, 'hex')` : sql`''`}
from ${messages} where chat_id = ${chatId} and exists (table chat)`,
  );
  const [chat, ...inOrder] = rows.sort((a, b) => a.order - b.order);
  return chat ? { chat: parseChat(chat.parts), rows: inOrder } : null;
}

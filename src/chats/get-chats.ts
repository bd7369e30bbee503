import { sql } from "drizzle-orm";
import { chatRow, parseChat } from "../conversation/chat-row.ts";
import { execute } from "../database/execute.ts";
import { asUser } from "../database/row-level-security.ts";
import { getChatsInput, parseInput } from "../input.ts";
import { type ChatTables, ownedBy } from "../schema.ts";
import type { Chat, ChatDatabase, GetChatsInput, StoreSettings } from "../types.ts";

export async function getChats(
  db: ChatDatabase,
  { chats }: ChatTables,
  input: GetChatsInput,
  settings: StoreSettings,
): Promise<Chat[]> {
  const { userId, archived = false, limit, before } = parseInput(getChatsInput, input);

  // A row comparison, so that the index serves it and chats saved within the same millisecond are not skipped.
  const afterPrevious = before
    ? sql` and (chats.updated_at, chats.id) < (${before.updatedAt.toISOString()}::timestamptz, ${before.id}::text)`
    : sql``;
  const page = {
    select: { chat: chatRow },
    from: sql`${chats} where ${ownedBy(chats, userId)} and chats.archived_at is ${archived ? sql`not null` : sql`null`}${afterPrevious}
order by chats.updated_at desc, chats.id desc${limit === undefined ? sql`` : sql` limit ${limit}`}`,
  };

  const rows = await asUser(db, { userId }, settings, (db) => execute<{ chat: string }>(db, page));
  return rows.map(({ chat }) => parseChat(chat));
}

import { chatJson, parseChat } from "../conversation/chat-row.ts";
import type { Context } from "../database/context.ts";
import { query } from "../database/query.ts";
import { sql } from "../database/sql.ts";
import type { getChatsInput, Parsed } from "../input.ts";
import { ownedBy } from "../schema.ts";
import type { Chat } from "../types.ts";

export async function getChats(
  context: Context,
  { userId, archived = false, limit, before }: Parsed<typeof getChatsInput>,
): Promise<Chat[]> {
  const { chats } = context.tables;
  // A row comparison, so that the index serves it, and so that it skips no chat that was saved in the same millisecond.
  const andBefore = before
    ? sql`and (chats.updated_at, chats.id) < (${before.updatedAt.toISOString()}::timestamptz, ${before.id}::text)`
    : sql``;
  const rows = await query<{ chat: string }>(context, {
    columns: { chat: chatJson },
    from: sql`
      ${chats}
      where ${ownedBy(chats, userId)} and chats.archived_at is ${archived ? sql`not null` : sql`null`} ${andBefore}
      order by chats.updated_at desc, chats.id desc
      ${limit === undefined ? sql`` : sql`limit ${limit}`}`,
  });
  return rows.map(({ chat }) => parseChat(chat));
}

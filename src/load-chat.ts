import { and, eq, sql } from "drizzle-orm";
import type { MessageRow } from "./messages.ts";
import { type ChatTables, ownedBy } from "./schema.ts";
import type { Chat, ChatDatabase } from "./types.ts";

/** A chat of this user and its messages in order, as they are stored. */
export async function loadChat(
  db: ChatDatabase,
  { chats, messages }: ChatTables,
  { userId, chatId }: { userId: string; chatId: string },
): Promise<{ chat: Chat; rows: MessageRow[] } | null> {
  // One statement, one snapshot: two could pair a title with the messages of another version.
  const joined = await db
    .select({
      chat: chats,
      id: messages.id,
      role: messages.role,
      // As text, because drivers parse JSON null and SQL NULL to the same null, and may parse JSON in ways of their own.
      parts: sql<string>`${messages.parts}::text`,
      metadata: sql<string | null>`${messages.metadata}::text`,
      digest: sql<string>`encode(${messages.digest}, 'base64')`,
    })
    .from(chats)
    // The constant chat id once more, for databases that shard by it.
    .leftJoin(messages, and(eq(messages.chatId, chats.id), eq(messages.chatId, chatId)))
    .where(and(eq(chats.id, chatId), ownedBy(chats, userId)))
    .orderBy(messages.order);

  const [first] = joined;
  if (!first) return null;
  // A chat without messages is one row without a message.
  const rows = joined.flatMap(({ id, role, ...row }) => (id === null || role === null ? [] : [{ ...row, id, role }]));
  return { chat: first.chat, rows };
}

import type { UIMessage } from "ai";
import { and, eq, sql } from "drizzle-orm";
import { getChatInput, parseInput } from "./input.ts";
import { toMessage } from "./messages.ts";
import { type ChatTables, ownedBy } from "./schema.ts";
import type { ChatDatabase, ChatWithMessages, GetChatInput } from "./types.ts";

export async function getChat<M extends UIMessage>(
  db: ChatDatabase,
  { chats, messages }: ChatTables,
  input: GetChatInput,
): Promise<ChatWithMessages<M> | null> {
  const { userId, chatId } = parseInput(getChatInput, input);

  // One statement, one snapshot: two could pair a title with the messages of another version.
  const rows = await db
    .select({
      chat: chats,
      id: messages.id,
      role: messages.role,
      // As text, because drivers parse JSON null and SQL NULL to the same null, and may parse JSON in ways of their own.
      parts: sql<string>`${messages.parts}::text`,
      metadata: sql<string | null>`${messages.metadata}::text`,
    })
    .from(chats)
    // The constant chat id once more, for databases that shard by it.
    .leftJoin(messages, and(eq(messages.chatId, chats.id), eq(messages.chatId, chatId)))
    .where(and(eq(chats.id, chatId), ownedBy(chats, userId)))
    .orderBy(messages.order);

  const [first] = rows;
  if (!first) return null;
  // A chat without messages is one row without a message.
  const messagesInOrder = rows.flatMap(({ id, role, parts, metadata }) =>
    id === null || role === null ? [] : [toMessage<M>({ id, role, parts, metadata })],
  );
  return { ...first.chat, messages: messagesInOrder };
}

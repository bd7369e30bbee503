import type { UIMessage } from "ai";
import { getChatInput, parseInput } from "./input.ts";
import { loadChat } from "./load-chat.ts";
import { toMessage } from "./messages.ts";
import type { ChatTables } from "./schema.ts";
import type { ChatDatabase, ChatWithMessages, GetChatInput } from "./types.ts";

export async function getChat<M extends UIMessage>(
  db: ChatDatabase,
  tables: ChatTables,
  input: GetChatInput,
): Promise<ChatWithMessages<M> | null> {
  const stored = await loadChat(db, tables, parseInput(getChatInput, input));
  return stored && { ...stored.chat, messages: stored.rows.map((row) => toMessage<M>(row)) };
}

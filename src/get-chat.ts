import type { UIMessage } from "ai";
import { getChatInput, parseInput } from "./input.ts";
import { loadChat } from "./load-chat.ts";
import { toMessage } from "./messages.ts";
import { asUser } from "./row-level-security.ts";
import type { ChatTables } from "./schema.ts";
import type { ChatDatabase, ChatWithMessages, GetChatInput, StoreSettings } from "./types.ts";

export async function getChat<M extends UIMessage>(
  db: ChatDatabase,
  tables: ChatTables,
  input: GetChatInput,
  settings: StoreSettings,
): Promise<ChatWithMessages<M> | null> {
  const ids = parseInput(getChatInput, input);
  const stored = await asUser(db, ids.userId, settings, (db) => loadChat(db, tables, ids));
  return stored && { ...stored.chat, messages: stored.rows.map((row) => toMessage<M>(row)) };
}

import type { UIMessage } from "ai";
import { loadChat } from "../conversation/load-chat.ts";
import { toMessage } from "../conversation/messages.ts";
import { asUser } from "../database/row-level-security.ts";
import { chatInput, parseInput } from "../input.ts";
import type { ChatTables } from "../schema.ts";
import type { ChatDatabase, ChatWithMessages, GetChatInput, StoreSettings } from "../types.ts";

export async function getChat<M extends UIMessage>(
  db: ChatDatabase,
  tables: ChatTables,
  input: GetChatInput,
  settings: StoreSettings,
): Promise<ChatWithMessages<M> | null> {
  const ids = parseInput(chatInput, input);
  const stored = await asUser(db, ids, settings, (db) => loadChat(db, tables, ids));
  return stored && { ...stored.chat, messages: stored.rows.map((row) => toMessage<M>(row)) };
}

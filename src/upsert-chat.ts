import type { UIMessage } from "ai";
import { parseInput, upsertChatInput } from "./input.ts";
import { toRow } from "./messages.ts";
import { asUser } from "./row-level-security.ts";
import { saveChat } from "./save-chat.ts";
import type { ChatTables } from "./schema.ts";
import type { Chat, ChatDatabase, StoreSettings, UpsertChatInput } from "./types.ts";

export async function upsertChat<M extends UIMessage>(
  db: ChatDatabase,
  tables: ChatTables,
  input: UpsertChatInput<M>,
  settings: StoreSettings,
): Promise<Chat> {
  const { messages, ...save } = parseInput(upsertChatInput, input);
  const rows = messages.map((message, index) => toRow(message, ["messages", index]));
  return asUser(db, save.userId, settings, (db) => saveChat(db, tables, { ...save, rows }, settings));
}

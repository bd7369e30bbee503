import type { UIMessage } from "ai";
import { toRow } from "../conversation/messages.ts";
import { saveAfter } from "../conversation/save-after.ts";
import { saveChat } from "../conversation/save-chat.ts";
import { asUser } from "../database/row-level-security.ts";
import { parseInput, upsertChatInput } from "../input.ts";
import type { ChatTables } from "../schema.ts";
import type { Chat, ChatDatabase, StoreSettings, UpsertChatInput } from "../types.ts";

export async function upsertChat<M extends UIMessage>(
  db: ChatDatabase,
  tables: ChatTables,
  input: UpsertChatInput<M>,
  settings: StoreSettings,
): Promise<Chat> {
  const { messages, after, ...save } = parseInput(upsertChatInput, input);
  const rows = messages.map((message, index) => toRow(message, ["messages", index]));
  return asUser(db, save, settings, (db) =>
    after === undefined
      ? saveChat(db, tables, { ...save, rows }, settings)
      : saveAfter(db, tables, { ...save, after, rows }, settings),
  );
}

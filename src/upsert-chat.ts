import type { UIMessage } from "ai";
import { parseInput, upsertChatInput } from "./input.ts";
import { toRows } from "./messages.ts";
import { saveChat } from "./save-chat.ts";
import type { ChatTables } from "./schema.ts";
import type { Chat, ChatDatabase, UpsertChatInput } from "./types.ts";

export async function upsertChat<M extends UIMessage>(
  db: ChatDatabase,
  tables: ChatTables,
  input: UpsertChatInput<M>,
  { portable }: { portable: boolean },
): Promise<Chat> {
  const { messages, ...save } = parseInput(upsertChatInput, input);
  return saveChat(db, tables, { ...save, rows: toRows(messages) }, { portable });
}

import { toRow } from "../conversation/message-row.ts";
import { saveAfter, saveConversation } from "../conversation/save-conversation.ts";
import type { Context } from "../database/context.ts";
import type { Parsed, upsertChatInput } from "../input.ts";
import type { Chat } from "../types.ts";

export function upsertChat(
  context: Context,
  { messages, after, ...save }: Parsed<typeof upsertChatInput>,
): Promise<Chat> {
  const rows = messages.map((message, index) => toRow(message, ["messages", index]));
  return after === undefined
    ? saveConversation(context, { ...save, rows })
    : saveAfter(context, { ...save, after, rows });
}

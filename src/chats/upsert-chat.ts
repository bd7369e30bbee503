import { toRow } from "../conversation/message-row.ts";
import { saveAfter, saveConversation } from "../conversation/save-conversation.ts";
import type { Context } from "../database/context.ts";
import { asUser } from "../database/row-level-security.ts";
import type { Parsed, upsertChatInput } from "../input.ts";
import type { Chat } from "../types.ts";

export function upsertChat(
  context: Context,
  { messages, after, ...save }: Parsed<typeof upsertChatInput>,
): Promise<Chat> {
  // Before anything is awaited: the caller may change its messages after the call.
  const rows = messages.map((message, index) => toRow(message, ["messages", index]));
  return asUser(context, { userId: save.userId }, (context) =>
    after === undefined ? saveConversation(context, { ...save, rows }) : saveAfter(context, { ...save, after, rows }),
  );
}

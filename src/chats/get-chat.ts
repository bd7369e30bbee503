import type { UIMessage } from "ai";
import { loadChat } from "../conversation/load-chat.ts";
import { toMessage } from "../conversation/message-row.ts";
import type { Context } from "../database/context.ts";
import type { chatInput, Parsed } from "../input.ts";
import type { ChatWithMessages } from "../types.ts";

export async function getChat<M extends UIMessage>(
  context: Context,
  input: Parsed<typeof chatInput>,
): Promise<ChatWithMessages<M> | null> {
  const stored = await loadChat(context, input);
  return stored && { ...stored.chat, messages: stored.rows.map((row) => toMessage<M>(row)) };
}

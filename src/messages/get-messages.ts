import type { UIMessage } from "ai";
import { loadWindow } from "../conversation/load-window.ts";
import { toMessage } from "../conversation/message-row.ts";
import type { Context } from "../database/context.ts";
import { InvalidChatError } from "../errors/errors.ts";
import type { getMessagesInput, Parsed } from "../input.ts";
import type { MessagePage } from "../types.ts";

export async function getMessages<M extends UIMessage>(
  context: Context,
  { limit, before, ...chat }: Parsed<typeof getMessagesInput>,
): Promise<MessagePage<M> | null> {
  const stored = await loadWindow(context, chat, { limit, before, withBranches: context.settings.branches });
  if (!stored) return null;
  if (before !== undefined && !stored.anchorExists) {
    const message = "is the id of no message of this chat any more; load the last messages again, without before";
    throw new InvalidChatError([{ path: ["before"], message }]);
  }
  const { rows, sentAt, hasMore, branches } = stored;
  const page = { chat: stored.chat, messages: rows.map((row) => toMessage<M>(row)), sentAt, hasMore };
  return context.settings.branches ? { ...page, branches } : page;
}

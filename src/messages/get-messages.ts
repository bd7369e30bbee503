import type { UIMessage } from "ai";
import { loadWindow } from "../conversation/load-window.ts";
import { toMessage } from "../conversation/messages.ts";
import { asUser } from "../database/row-level-security.ts";
import { InvalidChatError } from "../errors.ts";
import { getMessagesInput, parseInput } from "../input.ts";
import type { ChatTables } from "../schema.ts";
import type { ChatDatabase, GetMessagesInput, MessagePage, StoreSettings } from "../types.ts";

export async function getMessages<M extends UIMessage>(
  db: ChatDatabase,
  tables: ChatTables,
  input: GetMessagesInput,
  settings: StoreSettings,
): Promise<MessagePage<M> | null> {
  const { limit, before, ...ids } = parseInput(getMessagesInput, input);
  const stored = await asUser(db, ids, settings, (db) =>
    loadWindow(db, tables, ids, { limit, before, withTimes: true }),
  );
  if (stored && before !== undefined && !stored.isFound) {
    const message = "is the id of no message of this chat any more; load the last messages again, without before";
    throw new InvalidChatError([{ path: ["before"], message }]);
  }
  if (!stored) return null;
  const { chat, rows, sentAt, hasMore } = stored;
  return { chat, messages: rows.map((row) => toMessage<M>(row)), sentAt, hasMore };
}

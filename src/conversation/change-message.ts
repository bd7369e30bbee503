import { type SQL, sql } from "drizzle-orm";
import { execute } from "../database/execute.ts";
import { versionConflict } from "../errors.ts";
import { type ChatTables, ownedBy } from "../schema.ts";
import type { Chat, ChatDatabase, StoreSettings } from "../types.ts";
import { chatRow, parseChat, returnedChatRow } from "./chat-row.ts";

/** What is to happen to a stored message, and with it to others of its chat. */
export interface MessageChange {
  userId: string;
  chatId: string;
  messageId: string;
  expectedVersion?: number | undefined;
  /** Whether there is anything to change, of the message `m` as it is found. */
  differs: SQL;
  /** Statements that may ask the row `message` for the `"order"` of the message, and act only `when` the chat is as it was found. */
  changes(when: SQL): SQL[];
}

/**
 * Changes a message in one statement that touches nothing else: `updated` matches only the row version of the snapshot, for the
 * reason given at `saveTail`.
 *
 * @returns the chat afterwards and the role of the message; null if there is no such message, and undefined if nothing was done
 * because another writer came in between.
 * @throws {ChatConflictError}
 */
export async function changeMessage(
  db: ChatDatabase,
  { chats, messages }: ChatTables,
  { userId, chatId, messageId, expectedVersion, differs, changes }: MessageChange,
  settings: StoreSettings,
): Promise<{ chat: Chat; role: string } | null | undefined> {
  const asExpected = expectedVersion === undefined ? sql`` : sql` and chats.version = ${expectedVersion}::int`;
  const parts = changes(sql`exists (table updated)`).map((statement, index) => [`part${index}`, statement]);
  const [found] = await execute<{ role: string; differs: 0 | 1; before: string; after: string | null }>(db, {
    with: {
      cur: sql`select chats.xmin v, ${chatRow} chat from ${chats} where chats.id = ${chatId} and ${ownedBy(chats, userId)}`,
      message: sql`select m."order", m.role, ${differs} differs from ${messages} m where m.chat_id = ${chatId} and m.id = ${messageId} and exists (table cur)`,
      updated: sql`update ${chats} set version = chats.version + 1, updated_at = greatest(chats.updated_at, now())
where chats.id = ${chatId} and chats.xmin = (select v from cur, message where differs)${asExpected}
returning ${returnedChatRow(settings)} chat`,
      ...Object.fromEntries(parts),
    },
    select: {
      role: sql`message.role`,
      differs: sql`message.differs::int`,
      before: sql`cur.chat`,
      after: sql`updated.chat`,
    },
    from: sql`cur cross join message left join updated on true`,
  });
  if (!found) return null;
  const { role } = found;
  if (found.after !== null) return { chat: parseChat(found.after), role };
  const chat = parseChat(found.before);
  if (!found.differs) return { chat, role };
  if (expectedVersion !== undefined && expectedVersion !== chat.version) {
    throw versionConflict({ chatId, expectedVersion, actualVersion: chat.version });
  }
  return undefined;
}

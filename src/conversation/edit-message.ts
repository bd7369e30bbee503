import type { SQL } from "drizzle-orm";
import type { Context } from "../database/context.ts";
import { query } from "../database/query.ts";
import { type WriteConflict, writeConflict } from "../database/retry-on-conflict.ts";
import { sql } from "../database/sql.ts";
import { versionConflict } from "../errors/errors.ts";
import { ownedBy } from "../schema.ts";
import type { Chat } from "../types.ts";
import { chatJson, parseChat, returnedChatJson } from "./chat-row.ts";
import { retryWithLock } from "./retry-with-lock.ts";

/** A change to one stored message, or to this message and others. */
export interface MessageEdit {
  userId: string;
  chatId: string;
  messageId: string;
  expectedVersion?: number | undefined;
  /** Whether there is anything to change: a condition on the stored message `m`. */
  differs: SQL;
  /**
   * The statements of the change. They can read the message's `"order"` and `role` from the CTE `message`, and must
   * include `when`, which is true only if the chat is unchanged.
   */
  changes(when: SQL): SQL[];
}

/**
 * Edits a message in one statement: `updated_chat` matches only the row version of the statement's snapshot. Why that
 * is safe, `writeTail` says.
 *
 * @returns the chat and the message's role; null if the user has no such message.
 * @throws {ChatConflictError}
 */
export function editMessage(context: Context, edit: MessageEdit): Promise<{ chat: Chat; role: string } | null> {
  return retryWithLock(context, { userId: edit.userId, chatId: edit.chatId }, (context) => tryEdit(context, edit));
}

async function tryEdit(
  context: Context,
  { userId, chatId, messageId, expectedVersion, differs, changes }: MessageEdit,
): Promise<{ chat: Chat; role: string } | null | WriteConflict> {
  const { chats, messages } = context.tables;
  const andExpectedVersion = expectedVersion === undefined ? sql`` : sql`and chats.version = ${expectedVersion}::int`;
  const statements = changes(sql`exists (table updated_chat)`);
  const [found] = await query<{ role: string; differs: 0 | 1; before: string; after: string | null }>(context, {
    ctes: {
      current_chat: sql`
        select chats.xmin as row_version, ${chatJson} as chat
        from ${chats}
        where chats.id = ${chatId} and ${ownedBy(chats, userId)}`,
      message: sql`
        select m."order", m.role, ${differs} as differs
        from ${messages} m
        where m.chat_id = ${chatId} and m.id = ${messageId} and exists (table current_chat)`,
      updated_chat: sql`
        update ${chats}
        set version = chats.version + 1, updated_at = greatest(chats.updated_at, now())
        where
          chats.id = ${chatId}
          and chats.xmin = (select row_version from current_chat, message where differs)
          ${andExpectedVersion}
        returning ${returnedChatJson(context.settings)} as chat`,
      ...Object.fromEntries(statements.map((statement, index) => [`change_${index + 1}`, statement])),
    },
    columns: {
      role: sql`message.role`,
      differs: sql`message.differs::int`,
      before: sql`current_chat.chat`,
      after: sql`updated_chat.chat`,
    },
    from: sql`current_chat cross join message left join updated_chat on true`,
  });
  if (!found) return null;
  const { role } = found;
  if (found.after !== null) return { chat: parseChat(found.after), role };
  const chat = parseChat(found.before);
  if (!found.differs) return { chat, role };
  if (expectedVersion !== undefined && expectedVersion !== chat.version) {
    throw versionConflict({ chatId, expectedVersion, actualVersion: chat.version });
  }
  return writeConflict;
}

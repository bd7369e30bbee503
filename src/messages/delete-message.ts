import { type SQL, sql } from "drizzle-orm";
import { changeMessage } from "../conversation/change-message.ts";
import { takeTurns } from "../conversation/take-turns.ts";
import { asUser } from "../database/row-level-security.ts";
import { deleteMessageInput, parseInput } from "../input.ts";
import type { ChatTables } from "../schema.ts";
import type { Chat, ChatDatabase, DeleteMessageInput, StoreSettings } from "../types.ts";

/** Those after it move up, so that saving what is left finds nothing to move. */
export async function deleteMessage(
  db: ChatDatabase,
  tables: ChatTables,
  input: DeleteMessageInput,
  settings: StoreSettings,
): Promise<Chat | null> {
  const { userId, chatId, messageId, following, expectedVersion } = parseInput(deleteMessageInput, input);
  const { messages, turns } = tables;
  const ids = { userId, chatId };

  const removed = following ? sql`m."order" >= message."order"` : sql`m.id = ${messageId}`;
  const changes = (when: SQL) => [
    sql`delete from ${messages} m using message where m.chat_id = ${chatId} and ${removed} and ${when}`,
    // A turn that answers or continues a deleted message, or whose recording became it, does not go on.
    sql`update ${turns} t set superseded = true, stop = true from ${messages} m, message
where t.chat_id = ${chatId} and m.chat_id = ${chatId} and m.id in (t.question_id, t.answer_id) and t.ended_at is null and ${removed} and ${when}`,
    // One that seemed dead stores nothing any more when it comes back, and the recording of one that has ended holds deleted words.
    sql`delete from ${turns} t using ${messages} m, message
where t.chat_id = ${chatId} and m.chat_id = ${chatId} and m.id in (t.question_id, t.answer_id) and t.ended_at is not null and ${removed} and ${when}`,
    ...(following
      ? []
      : [
          sql`update ${messages} m set "order" = m."order" - 1 from message
where m.chat_id = ${chatId} and m."order" > message."order" and ${when}`,
        ]),
  ];
  const change = { ...ids, messageId, expectedVersion, differs: sql`true`, changes };
  const changed = await asUser(db, ids, settings, (db) =>
    takeTurns(db, tables, ids, settings, (db) => changeMessage(db, tables, change, settings)),
  );
  return changed?.chat ?? null;
}

import type { UIMessage } from "ai";
import { sql } from "drizzle-orm";
import { changeMessage } from "../conversation/change-message.ts";
import { toRow } from "../conversation/messages.ts";
import { takeTurns } from "../conversation/take-turns.ts";
import { asUser } from "../database/row-level-security.ts";
import { InvalidChatError } from "../errors.ts";
import { parseInput, updateMessageInput } from "../input.ts";
import type { ChatTables } from "../schema.ts";
import type { Chat, ChatDatabase, StoreSettings, UpdateMessageInput } from "../types.ts";

export async function updateMessage<M extends UIMessage>(
  db: ChatDatabase,
  tables: ChatTables,
  input: UpdateMessageInput<M>,
  settings: StoreSettings,
): Promise<Chat | null> {
  const { userId, chatId, message, expectedVersion } = parseInput(updateMessageInput, input);
  const { id, role, parts, metadata, digest } = toRow(message, ["message"]);
  const ids = { userId, chatId };
  const change = {
    ...ids,
    messageId: id,
    expectedVersion,
    differs: sql`m.role = ${role} and m.digest <> decode(${digest}, 'hex')`,
    changes: (when: ReturnType<typeof sql>) => [
      sql`update ${tables.messages} m set parts = ${parts}::text::json, metadata = ${metadata}::text::json
where m.chat_id = ${chatId} and m.id = ${id} and ${when}`,
      // A turn that answers the old question, or whose recording became this answer, does not go on. One that continues an answer does.
      sql`update ${tables.turns} t set superseded = true, stop = true from message
where t.chat_id = ${chatId} and t.ended_at is null and (t.question_id = ${id} and message.role = 'user' or t.answer_id = ${id} and t.recovered_digest is not null) and ${when}`,
      // One that seemed dead stores nothing any more when it comes back, and the recording of one that has ended holds the old words.
      sql`delete from ${tables.turns} t where t.chat_id = ${chatId} and ${id} in (t.question_id, t.answer_id) and t.ended_at is not null and ${when}`,
    ],
  };
  const changed = await asUser(db, ids, settings, (db) =>
    takeTurns(db, tables, ids, settings, (db) => changeMessage(db, tables, change, settings)),
  );
  if (changed && changed.role !== role) {
    throw new InvalidChatError([
      { path: ["message", "role"], message: "is not the role this message is stored with; expected that one" },
    ]);
  }
  return changed?.chat ?? null;
}

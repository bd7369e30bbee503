import type { SQL } from "drizzle-orm";
import { editMessage, type MessageEdit } from "../conversation/edit-message.ts";
import { toRow } from "../conversation/message-row.ts";
import type { Context } from "../database/context.ts";
import { asUser } from "../database/row-level-security.ts";
import { sql } from "../database/sql.ts";
import { InvalidChatError } from "../errors/errors.ts";
import type { Parsed, updateMessageInput } from "../input.ts";
import type { Chat } from "../types.ts";

export async function updateMessage(
  context: Context,
  { userId, chatId, message, expectedVersion }: Parsed<typeof updateMessageInput>,
): Promise<Chat | null> {
  const { messages, turns } = context.tables;
  // Before anything is awaited: the caller may change its message after the call.
  const { id, role, parts, metadata, digest } = toRow(message, ["message"]);
  const edit: MessageEdit = {
    userId,
    chatId,
    messageId: id,
    expectedVersion,
    differs: sql`m.role = ${role} and m.digest <> decode(${digest}, 'hex')`,
    changes: (when: SQL) => [
      sql`
        update ${messages} m
        set parts = ${parts}::text::json, metadata = ${metadata}::text::json
        where m.chat_id = ${chatId} and m.id = ${id} and ${when}`,
      // Supersedes a turn that answers the old question, and one whose recording became this answer. A turn that
      // continues an answer goes on: its answer is merged with the edit.
      sql`
        update ${turns} t
        set superseded = true, stop = true
        from message
        where
          t.chat_id = ${chatId}
          and t.ended_at is null
          and (
            t.question_id = ${id} and message.role = 'user'
            or t.answer_id = ${id} and t.recovered_digest is not null
          )
          and ${when}`,
      // An ended turn's recording holds the old content. A turn that was declared dead and comes back stores nothing
      // any more.
      sql`
        delete from ${turns} t
        where t.chat_id = ${chatId} and ${id} in (t.question_id, t.answer_id) and t.ended_at is not null and ${when}`,
    ],
  };
  const edited = await asUser(context, { userId }, (context) => editMessage(context, edit));
  if (edited && edited.role !== role) {
    throw new InvalidChatError([
      { path: ["message", "role"], message: "is not the role this message is stored with; expected that one" },
    ]);
  }
  return edited?.chat ?? null;
}

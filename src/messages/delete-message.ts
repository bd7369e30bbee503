import type { SQL } from "drizzle-orm";
import { editMessage } from "../conversation/edit-message.ts";
import { deleteBranches, orderBefore } from "../conversation/keep-branch.ts";
import type { Context } from "../database/context.ts";
import { sql } from "../database/sql.ts";
import type { deleteMessageInput, Parsed } from "../input.ts";
import type { Chat } from "../types.ts";

/** Later messages move up, so that saving the remaining conversation finds nothing to move. */
export async function deleteMessage(
  context: Context,
  { userId, chatId, messageId, following, expectedVersion }: Parsed<typeof deleteMessageInput>,
): Promise<Chat | null> {
  const { messages, turns } = context.tables;
  const isDeleted = following ? sql`m."order" >= message."order"` : sql`m.id = ${messageId}`;
  // A turn whose question or answer is deleted.
  const isOfDeleted = sql`
    t.chat_id = ${chatId}
    and m.chat_id = ${chatId}
    and m.id in (t.question_id, t.answer_id)
    and ${isDeleted}`;
  const isBehindDeleted = following
    ? sql`${orderBefore(context.tables, chatId)} >= (select message."order" from message)`
    : sql`b.after_id = ${messageId}`;
  const changes = (when: SQL) => [
    ...(context.settings.branches ? [deleteBranches(context.tables, chatId, isBehindDeleted, when)] : []),
    sql`
      delete from ${messages} m
      using message
      where m.chat_id = ${chatId} and ${isDeleted} and ${when}`,
    sql`
      update ${turns} t
      set superseded = true, stop = true
      from ${messages} m, message
      where ${isOfDeleted} and t.ended_at is null and ${when}`,
    // An ended turn's recording holds deleted content. A turn that was declared dead and comes back stores nothing any
    // more.
    sql`
      delete from ${turns} t
      using ${messages} m, message
      where ${isOfDeleted} and t.ended_at is not null and ${when}`,
  ];
  const moveUp = (when: SQL) => sql`
    update ${messages} m
    set "order" = m."order" - 1
    from message
    where m.chat_id = ${chatId} and m."order" > message."order" and ${when}`;
  const edited = await editMessage(context, {
    userId,
    chatId,
    messageId,
    expectedVersion,
    differs: sql`true`,
    changes: (when) => (following ? changes(when) : [...changes(when), moveUp(when)]),
  });
  return edited?.chat ?? null;
}

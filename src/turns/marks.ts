import { type SQL, sql } from "drizzle-orm";
import type { MessageRow } from "../conversation/messages.ts";
import { hasExpired } from "../conversation/turn-marks.ts";
import type { ChatTables } from "../schema.ts";

/** What a turn leaves in the database when it starts: the one thing by which others, and itself later, know of it. */
export interface Mark {
  id: string;
  question: MessageRow;
  answerId: string;
  /** The ids of the messages that the answer takes the place of. */
  replaces: readonly string[];
}

/**
 * A turn begins: it supersedes the turns of the same question and those whose question it removes, and sweeps away what has
 * expired in this chat, unless it `isFirst` to leave a mark there. All `when` the statement that they are part of has found the chat as it was read.
 */
export const beginTurn =
  ({ turns }: ChatTables, chatId: string, { id, question, answerId, replaces }: Mark, isFirst: boolean) =>
  (when: SQL, removed: readonly string[]): SQL[] => [
    ...(isFirst
      ? []
      : [
          supersede({ turns }, chatId, [question.id, ...removed], when),
          // No row that is superseded above: Postgres does not say what becomes of one that a statement changes twice.
          sql`delete from ${turns} t where t.chat_id = ${chatId} and ${hasExpired} and ${when}`,
        ]),
    // Nothing is heard of it before its stream begins: a handler may look things up first.
    sql`insert into ${turns} (chat_id, id, question_id, question_digest, answer_id, replaces, beat_at)
select ${chatId}, ${id}::uuid, ${question.id}, decode(${question.digest}, 'hex'), ${answerId}, ${JSON.stringify(replaces)}::text::json, now() + interval '20 seconds' where ${when}`,
  ];

/**
 * A turn ends, together with its answer's save. Those whose question that removes have nothing left to answer. What was recorded
 * of it stays for who is still reading; else nothing does.
 */
export const endTurn =
  ({ turns }: ChatTables, chatId: string, { id, isRecorded }: { id: string; isRecorded: boolean }) =>
  (when: SQL, removed: readonly string[]): SQL[] => [
    ...(removed.length > 0 ? [supersede({ turns }, chatId, removed, when)] : []),
    sql`${isRecorded ? sql`update ${turns} t set ended_at = now(), interrupted = false` : sql`delete from ${turns} t`}
where t.chat_id = ${chatId} and t.id = ${id}::uuid and ${when}`,
  ];

/** What was recorded of a turn that died becomes its answer. If it lives after all, it will end by itself. */
export const interruptTurn =
  ({ turns }: ChatTables, chatId: string, id: string) =>
  (when: SQL): SQL[] => [
    sql`update ${turns} t set ended_at = now(), interrupted = true
where t.chat_id = ${chatId} and t.id = ${id}::uuid and t.ended_at is null and ${when}`,
  ];

function supersede({ turns }: Pick<ChatTables, "turns">, chatId: string, questionIds: readonly string[], when: SQL) {
  return sql`update ${turns} t set superseded = true, stop = true where t.chat_id = ${chatId}
and t.question_id in (select json_array_elements_text(${JSON.stringify(questionIds)}::text::json)) and not t.superseded and not ${hasExpired} and ${when}`;
}

import { type SQL, sql } from "drizzle-orm";
import type { MessageRow } from "../conversation/messages.ts";
import { hasExpired, mayStillEnd } from "../conversation/turn-marks.ts";
import type { ChatTables } from "../schema.ts";

/** What a turn leaves in the database when it starts: the one thing by which others, and itself later, know of it. */
export interface Mark {
  id: string;
  question: MessageRow;
  answerId: string;
  /** The ids of the messages that the answer takes the place of. */
  replaces: readonly string[];
}

/** What the chat's other turns mean for one that begins. */
interface Others {
  /** There is no mark of any turn in the chat. */
  areNone: boolean;
  /** The ids of the turns whose answers will take the place of this question, and so of its answer. */
  replacing: readonly string[];
}

/**
 * A turn begins: it supersedes the turns of the same question, the one that wrote the message it continues, and those whose question or
 * answer it removes. Marks that have expired in this chat go. All `when` the statement that they are part of has found the chat as it was read.
 */
export const beginTurn =
  ({ turns }: ChatTables, chatId: string, { id, question, answerId, replaces }: Mark, others: Others) =>
  (when: SQL, removed: readonly string[]): SQL[] => [
    ...(others.areNone
      ? []
      : [
          supersede({ turns }, chatId, [question.id, ...removed], id, when),
          // No row that is superseded above: Postgres does not say what becomes of one that a statement changes twice.
          sql`delete from ${turns} t where t.chat_id = ${chatId} and ${hasExpired} and ${when}`,
        ]),
    ...(others.replacing.length === 0
      ? []
      : [
          sql`update ${turns} t set replaces = (t.replaces::jsonb || to_jsonb(${answerId}::text))::json where t.chat_id = ${chatId}
and t.id::text in (${elementsOf(others.replacing)}) and not ${hasExpired} and ${when}`,
        ]),
    // No heartbeat comes before its stream begins: a route may look things up first.
    sql`insert into ${turns} (chat_id, id, question_id, question_digest, answer_id, replaces, beat_at)
select ${chatId}, ${id}::uuid, ${question.id}, decode(${question.digest}, 'hex'), ${answerId}, ${JSON.stringify(replaces)}::text::json, now() + interval '20 seconds' where ${when}`,
  ];

/**
 * A turn ends, together with its answer's save. The turns whose question or answer that removes are superseded. Its recording stays for
 * readers that are behind; without one, nothing of it stays.
 */
export const endTurn =
  ({ turns }: ChatTables, chatId: string, { id, isRecorded }: { id: string; isRecorded: boolean }) =>
  (when: SQL, removed: readonly string[]): SQL[] => [
    ...(removed.length > 0 ? [supersede({ turns }, chatId, removed, id, when)] : []),
    sql`${isRecorded ? sql`update ${turns} t set ended_at = now(), interrupted = false` : sql`delete from ${turns} t`}
where t.chat_id = ${chatId} and t.id = ${id}::uuid and ${when}`,
  ];

/** What a recording has become: an answer of this digest, which had so many parts before it; or none. */
export interface Recovered {
  recoveredDigest: string | null;
  recoveredAfter: number | null;
}

/** The recording of a turn that died becomes its answer. If its writer lives after all, it will end the turn. */
export const interruptTurn =
  ({ turns }: ChatTables, chatId: string, id: string, { recoveredDigest, recoveredAfter }: Recovered) =>
  (when: SQL, removed: readonly string[]): SQL[] => [
    ...(removed.length > 0 ? [supersede({ turns }, chatId, removed, id, when)] : []),
    sql`update ${turns} t set ended_at = now(), interrupted = true, recovered_digest = decode(${recoveredDigest}, 'hex'), recovered_after = ${recoveredAfter}::int
where t.chat_id = ${chatId} and t.id = ${id}::uuid and t.ended_at is null and ${when}`,
  ];

/** The turns of these questions, and those that wrote these answers, store nothing any more. But not the turn that does it. */
function supersede(
  { turns }: Pick<ChatTables, "turns">,
  chatId: string,
  messageIds: readonly string[],
  by: string,
  when: SQL,
) {
  return sql`update ${turns} t set superseded = true, stop = true where t.chat_id = ${chatId} and t.id <> ${by}::uuid
and exists (select from json_array_elements_text(${JSON.stringify(messageIds)}::text::json) m (id) where m.id in (t.question_id, t.answer_id))
and ${mayStillEnd} and not ${hasExpired} and ${when}`;
}

const elementsOf = (ids: readonly string[]) => sql`select json_array_elements_text(${JSON.stringify(ids)}::text::json)`;

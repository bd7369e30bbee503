import type { SQL } from "drizzle-orm";
import type { MessageRow } from "../conversation/message-row.ts";
import { firstHeartbeatWithin, hasExpired, mayStillEnd } from "../conversation/turn-liveness.ts";
import { sql } from "../database/sql.ts";
import type { ChatTables } from "../schema.ts";

/** A row of `turns`. Other requests know a turn only by its row, and the turn stores its answer only if it has one. */
export interface TurnRow {
  id: string;
  question: MessageRow;
  answerId: string;
  /** The ids of the messages that the answer replaces. */
  replaces: readonly string[];
}

/** How the chat's other turns concern a turn that begins. */
interface OtherTurns {
  /** Whether the chat has rows of other turns. */
  exist: boolean;
  /** The ids of the turns whose answers will replace this question, and with it the answer of this turn. */
  replacing: readonly string[];
}

type AlsoWrite = (when: SQL, removedIds: readonly string[]) => SQL[];

/**
 * Begins a turn: supersedes the turns of the same question, the turn that wrote the message it continues, and the turns
 * whose question or answer it removes. Deletes expired rows of the chat.
 */
export const beginTurn =
  (tables: ChatTables, chatId: string, turn: TurnRow, others: OtherTurns): AlsoWrite =>
  (when, removedIds) => {
    const { turns } = tables;
    const { id, question, answerId, replaces } = turn;
    const statements: SQL[] = [];
    if (others.exist) {
      statements.push(supersedeTurns(tables, chatId, [question.id, ...removedIds], id, when));
      // Must not delete a row that the statement above updates: Postgres does not define what happens to a row that one
      // statement changes twice.
      statements.push(sql`
        delete from ${turns} t
        where t.chat_id = ${chatId} and ${hasExpired} and ${when}`);
    }
    if (others.replacing.length > 0) {
      statements.push(sql`
        update ${turns} t
        set replaces = (t.replaces::jsonb || to_jsonb(${answerId}::text))::json
        where
          t.chat_id = ${chatId}
          and t.id::text in (${elementsOf(others.replacing)})
          and not ${hasExpired}
          and ${when}`);
    }
    statements.push(sql`
      insert into ${turns} (chat_id, id, question_id, question_digest, answer_id, replaces, beat_at)
      select
        ${chatId}, ${id}::uuid, ${question.id}, decode(${question.digest}, 'hex'), ${answerId},
        ${JSON.stringify(replaces)}::text::json, now() + ${firstHeartbeatWithin}
      where ${when}`);
    return statements;
  };

/**
 * Ends a turn, together with the save of its answer. Supersedes the turns whose question or answer that save removes.
 * Keeps the row of a recorded turn for clients that are still reading, and deletes the row of any other turn.
 */
export const endTurn =
  (tables: ChatTables, chatId: string, { id, isRecorded }: { id: string; isRecorded: boolean }): AlsoWrite =>
  (when, removedIds) => {
    const { turns } = tables;
    const isTurn = sql`t.chat_id = ${chatId} and t.id = ${id}::uuid and ${when}`;
    return [
      ...supersedeRemoved(tables, chatId, removedIds, id, when),
      isRecorded
        ? sql`update ${turns} t set ended_at = now(), interrupted = false where ${isTurn}`
        : sql`delete from ${turns} t where ${isTurn}`,
    ];
  };

/** The answer that the recording of a dead turn became; null if it became none. */
export interface RecoveredAnswer {
  recoveredDigest: string | null;
  /** How many parts the answer had before the parts that come from the recording. */
  recoveredAfter: number | null;
}

/** Interrupts a dead turn, whose recording becomes its answer. If its process lives, it can still end the turn. */
export const interruptTurn =
  (tables: ChatTables, chatId: string, id: string, { recoveredDigest, recoveredAfter }: RecoveredAnswer): AlsoWrite =>
  (when, removedIds) => [
    ...supersedeRemoved(tables, chatId, removedIds, id, when),
    sql`
      update ${tables.turns} t
      set
        ended_at = now(),
        interrupted = true,
        recovered_digest = decode(${recoveredDigest}, 'hex'),
        recovered_after = ${recoveredAfter}::int
      where t.chat_id = ${chatId} and t.id = ${id}::uuid and t.ended_at is null and ${when}`,
  ];

function supersedeRemoved(
  tables: ChatTables,
  chatId: string,
  removedIds: readonly string[],
  turnId: string,
  when: SQL,
): SQL[] {
  return removedIds.length === 0 ? [] : [supersedeTurns(tables, chatId, removedIds, turnId, when)];
}

/** Supersedes the other turns that answer or write these messages, so that they can no longer store an answer. */
const supersedeTurns = (
  { turns }: ChatTables,
  chatId: string,
  messageIds: readonly string[],
  turnId: string,
  when: SQL,
): SQL => sql`
  update ${turns} t
  set superseded = true, stop = true
  where
    t.chat_id = ${chatId}
    and t.id <> ${turnId}::uuid
    and exists (
      select
      from json_array_elements_text(${JSON.stringify(messageIds)}::text::json) m (id)
      where m.id in (t.question_id, t.answer_id)
    )
    and ${mayStillEnd}
    and not ${hasExpired}
    and ${when}`;

const elementsOf = (ids: readonly string[]) => sql`select json_array_elements_text(${JSON.stringify(ids)}::text::json)`;

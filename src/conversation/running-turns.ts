import type { SQL } from "drizzle-orm";
import { sql } from "../database/sql.ts";
import type { ChatTables } from "../schema.ts";
import type { LoadedRow } from "./loaded-rows.ts";
import { isDead, mayStillEnd } from "./turn-liveness.ts";

/** A turn that has neither ended by itself nor been superseded. */
export interface RunningTurn {
  id: string;
  questionId: string;
  /** The digest of the question when the turn started. */
  questionDigest: string;
  answerId: string;
  /** The ids of the messages that the answer replaces. */
  replaces: string[];
  /** Its process must be gone. */
  isDead: boolean;
  /** Its recording has become its answer. */
  isInterrupted: boolean;
  /** It is dead, and its recording has not become its answer yet. */
  isRecoverable: boolean;
  /** Only its missing heartbeats say that it is dead. An outage of the database or a busy pool looks the same. */
  isSilent: boolean;
  /** The digest of the answer that its recording became; null if it became none. */
  recoveredDigest: string | null;
  /** How many parts that answer had before its recording; null likewise. */
  recoveredAfter: number | null;
}

/** One more branch for the union of a statement that loads the chat `current_chat`: the rows of all its turns. */
export const unionTurns = (turns: ChatTables["turns"], chatId: string): SQL => sql`
  union all
  select
    'turn',
    json_build_array(
      t.question_id, encode(t.question_digest, 'hex'), t.answer_id, t.replaces,
      ${mayStillEnd}, t.interrupted, ${isDead}, t.chunks > 0, t.beat_at = 'epoch',
      encode(t.recovered_digest, 'hex'), t.recovered_after
    )::text,
    t.id::text, null, null, null, 0, null
  from ${turns} t
  where t.chat_id = ${chatId} and exists (table current_chat)`;

/** The values of {@link unionTurns}. */
type TurnData = [
  questionId: string,
  questionDigest: string,
  answerId: string,
  replaces: string[],
  mayStillEnd: boolean,
  isInterrupted: boolean,
  isDead: boolean,
  isRecorded: boolean,
  isAbandoned: boolean,
  recoveredDigest: string | null,
  recoveredAfter: number | null,
];

export function runningTurnsIn(loaded: readonly LoadedRow[]): { turns: RunningTurn[]; hasTurnRows: boolean } {
  const rows = loaded.filter(({ kind }) => kind === "turn");
  return { turns: rows.flatMap(({ id, data }) => runningTurn(id, JSON.parse(data))), hasTurnRows: rows.length > 0 };
}

function runningTurn(id: string, data: TurnData): RunningTurn | [] {
  const [
    questionId,
    questionDigest,
    answerId,
    replaces,
    mayEnd,
    isInterrupted,
    isDead,
    isRecorded,
    isAbandoned,
    ...recovered
  ] = data;
  if (!mayEnd) return [];
  const [recoveredDigest, recoveredAfter] = recovered;
  const isRecoverable = isDead && isRecorded && !isInterrupted;
  return {
    id,
    questionId,
    questionDigest,
    answerId,
    replaces,
    isDead,
    isInterrupted,
    isRecoverable,
    isSilent: isRecoverable && !isAbandoned,
    recoveredDigest,
    recoveredAfter,
  };
}

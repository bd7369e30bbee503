import { type SQL, sql } from "drizzle-orm";
import { execute } from "../database/execute.ts";
import { columnsNamed } from "../database/statement.ts";
import { type Asker, type ChatTables, ownedByAsker } from "../schema.ts";
import type { Chat, ChatDatabase } from "../types.ts";
import { chatRow, parseChat } from "./chat-row.ts";
import type { MessageRow } from "./messages.ts";
import { isDead, mayStillEnd } from "./turn-marks.ts";

/** A chat as it is stored. */
export interface StoredChat {
  chat: Chat;
  /** Its `xmin`: changes whenever somebody updates the chat's row, also if the chat is deleted and made again. */
  rowVersion: string;
  /** In order. Those that were loaded with what they say have no digest. */
  rows: StoredMessage[];
  /** The `"order"` that the first of them has, or ought to have: 0, unless the chat was loaded from a message on. */
  firstOrder: number;
  /** The turns that run, or seem to, if the chat was loaded for a turn. */
  turns: RunningTurn[];
  /** Whether there is anything left of turns in it, also of those that are over. */
  hasMarks: boolean;
}

export interface StoredMessage extends MessageRow {
  order: number;
}

/** A turn that has neither ended by itself nor been superseded. */
export interface RunningTurn {
  id: string;
  questionId: string;
  /** Of the question as it was asked. */
  questionDigest: string;
  answerId: string;
  replaces: string[];
  /** Its process must be gone. */
  isDead: boolean;
  /** Its recording has become its answer. */
  isInterrupted: boolean;
  /** It is dead, and its recording has not become its answer yet. */
  isRecoverable: boolean;
  /** It is known to be dead by its silence alone, which may be the database's own: an outage, a busy pool. */
  isSilent: boolean;
  /** Of the answer that its recording became; null if it became none. */
  recoveredDigest: string | null;
  /** How many parts that answer had before its recording; null likewise. */
  recoveredAfter: number | null;
}

/** A chat of this user and its messages. */
export async function loadChat(
  db: ChatDatabase,
  { chats, messages, turns }: ChatTables,
  { chatId, ...asker }: Asker & { chatId: string },
  { forTurn = false } = {},
): Promise<StoredChat | null> {
  // One statement, one snapshot: two could pair a title with the messages of another version. The chat is a row of its
  // own, because repeating it with every message costs more than the messages' ids and roles. JSON is read as text:
  // drivers parse JSON null and SQL NULL to the same null, and may parse JSON in ways of their own.
  const loaded = await execute<StoredMessage & { kind: 0 | 1 | 2 }>(db, {
    with: {
      chat: sql`select ${chatRow} chat, chats.xmin::text v from ${chats} where chats.id = ${chatId} and ${ownedByAsker(chats, asker)}`,
      loaded: sql`select 0 kind, null id, null role, chat parts, null metadata, 0 "order", v digest from chat
union all
select 1, m.id, m.role, m.parts::text, m.metadata::text, m."order", ''
from ${messages} m where m.chat_id = ${chatId} and exists (table chat)${forTurn ? marksOfTurns(turns, chatId) : sql``}`,
    },
    select: loadedColumns,
    from: sql`loaded`,
  });
  const [chat] = loaded.filter(({ kind }) => kind === 0);
  if (!chat) return null;
  return {
    chat: parseChat(chat.parts),
    rowVersion: chat.digest,
    rows: loaded.filter(({ kind }) => kind === 1).sort((a, b) => a.order - b.order),
    firstOrder: 0,
    ...turnsIn(loaded),
  };
}

/** What a statement that loads a chat gives of its own row, of messages and of turns. */
export const loadedColumns = columnsNamed<StoredMessage & { kind: number }>(
  "kind",
  "id",
  "role",
  "parts",
  "metadata",
  "order",
  "digest",
);

/** The columns of {@link marksOfTurns}. */
type Mark = [
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

/** More rows for a statement that loads the chat `chat`, of kind 2: the marks of all its turns. */
export const marksOfTurns = (turns: ChatTables["turns"], chatId: string): SQL => sql`
union all
select 2, t.id::text, null, json_build_array(t.question_id, encode(t.question_digest, 'hex'), t.answer_id, t.replaces, ${mayStillEnd},
t.interrupted, ${isDead}, t.chunks > 0, t.beat_at = 'epoch', encode(t.recovered_digest, 'hex'), t.recovered_after)::text, null, 0, ''
from ${turns} t where t.chat_id = ${chatId} and exists (table chat)`;

/** What {@link marksOfTurns} has read. */
export function turnsIn(
  loaded: readonly { kind: number; id: string; parts: string }[],
): Pick<StoredChat, "turns" | "hasMarks"> {
  const marks = loaded.filter(({ kind }) => kind === 2);
  return { turns: marks.flatMap(({ id, parts }) => runningTurn(id, JSON.parse(parts))), hasMarks: marks.length > 0 };
}

function runningTurn(id: string, mark: Mark): RunningTurn | [] {
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
    recoveredDigest,
    recoveredAfter,
  ] = mark;
  if (!mayEnd) return [];
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

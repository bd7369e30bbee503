import { type SQL, sql } from "drizzle-orm";
import { execute } from "../database/execute.ts";
import { columnsNamed } from "../database/statement.ts";
import { type Asker, type ChatTables, ownedByAsker } from "../schema.ts";
import type { Chat, ChatDatabase } from "../types.ts";
import { chatRow, parseChat } from "./chat-row.ts";
import type { MessageRow } from "./messages.ts";

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
  /** It has not been heard of for so long that its process must be gone. */
  isDead: boolean;
  /** What was recorded of it has become its answer. */
  isInterrupted: boolean;
  /** It is dead, and something is recorded that has not become its answer yet. */
  isRecoverable: boolean;
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

/** The columns of {@link marksOfTurns}; the last two are seconds. */
type Mark = [string, string, string, string[], boolean, boolean, boolean, number, number, number];

/** More rows for a statement that loads the chat `chat`, of kind 2: the marks of all its turns. */
export const marksOfTurns = (turns: ChatTables["turns"], chatId: string): SQL => sql`
union all
select 2, t.id::text, null, json_build_array(t.question_id, encode(t.question_digest, 'hex'), t.answer_id, t.replaces, t.superseded,
t.ended_at is not null, t.interrupted, t.chunks, extract(epoch from now() - t.beat_at), extract(epoch from now() - t.started_at))::text, null, 0, ''
from ${turns} t where t.chat_id = ${chatId} and exists (table chat)`;

/** What {@link marksOfTurns} has read. */
export function turnsIn(
  loaded: readonly { kind: number; id: string; parts: string }[],
): Pick<StoredChat, "turns" | "hasMarks"> {
  const marks = loaded.filter(({ kind }) => kind === 2);
  return { turns: marks.flatMap(({ id, parts }) => runningTurn(id, JSON.parse(parts))), hasMarks: marks.length > 0 };
}

function runningTurn(id: string, mark: Mark): RunningTurn | [] {
  const [questionId, questionDigest, answerId, replaces, isSuperseded, hasEnded, isInterrupted, chunks, silence, age] =
    mark;
  if (isSuperseded || (hasEnded && !isInterrupted)) return [];
  // One that is recorded gives a sign of life every second. Of one that is not, or not yet, there is none: it is given as long as
  // a handler may take, because to be wrong about it means to run an approved tool twice.
  const isDead = isInterrupted || (chunks > 0 ? silence > 10 : age > 300);
  const isRecoverable = isDead && chunks > 0 && !isInterrupted;
  return { id, questionId, questionDigest, answerId, replaces, isDead, isInterrupted, isRecoverable };
}

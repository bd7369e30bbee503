import { type SQL, sql } from "drizzle-orm";
import { execute } from "../database/execute.ts";
import { type Asker, type ChatTables, ownedByAsker } from "../schema.ts";
import type { Chat, ChatDatabase } from "../types.ts";
import { chatRow, parseChat } from "./chat-row.ts";
import type { MessageRow } from "./messages.ts";

/** A chat as it is stored. */
export interface StoredChat {
  chat: Chat;
  /** Its `xmin`: changes whenever somebody updates the chat's row, also if the chat is deleted and made again. */
  rowVersion: string;
  /** In order. Their digests are "" unless the chat was loaded for a turn. */
  rows: StoredMessage[];
  /** The `"order"` that the first of them has, or ought to have: 0, unless the chat was loaded from a message on. */
  firstOrder: number;
  /** The turns that run, or seem to, if the chat was loaded for a turn. */
  turns: RunningTurn[];
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
  const loaded = await execute<StoredMessage & { kind: 0 | 1 | 2 }>(
    db,
    sql`with chat as (
select ${chatRow} chat, chats.xmin::text v from ${chats} where chats.id = ${chatId} and ${ownedByAsker(chats, asker)}
)
select 0 kind, null id, null role, chat parts, null metadata, 0 "order", v digest from chat
union all
select 1, m.id, m.role, m.parts::text, m.metadata::text, m."order", ${forTurn ? sql`encode(m.digest, 'hex')` : sql`''`}
from ${messages} m where m.chat_id = ${chatId} and exists (table chat)${forTurn ? runningTurns(turns, chatId) : sql``}`,
  );
  const [chat] = loaded.filter(({ kind }) => kind === 0);
  if (!chat) return null;
  return {
    chat: parseChat(chat.parts),
    rowVersion: chat.digest,
    rows: loaded.filter(({ kind }) => kind === 1).sort((a, b) => a.order - b.order),
    firstOrder: 0,
    turns: loaded.filter(({ kind }) => kind === 2).map(parseTurn),
  };
}

/**
 * A turn that is recorded gives a sign of life every second. Of one that is not, or not yet, there is none: it is given as
 * long as a handler may take, because to be wrong about it means to run an approved tool twice.
 */
const isDead = sql.raw(
  "t.interrupted or case when t.chunks > 0 then t.beat_at < now() - interval '10 seconds' else t.started_at < now() - interval '5 minutes' end",
);

/** More rows for a statement that loads the chat `chat`, of kind 2. */
export const runningTurns = (turns: ChatTables["turns"], chatId: string): SQL => sql`
union all
select 2, t.id::text, null, json_build_array(t.question_id, encode(t.question_digest, 'hex'), t.answer_id, t.replaces, ${isDead}, t.interrupted, t.chunks > 0)::text, null, 0, ''
from ${turns} t where t.chat_id = ${chatId} and exists (table chat) and (t.ended_at is null or t.interrupted) and not t.superseded`;

/** What {@link runningTurns} has read. */
export function parseTurn({ id, parts }: Pick<StoredMessage, "id" | "parts">): RunningTurn {
  const [questionId, questionDigest, answerId, replaces, isDead, isInterrupted, isRecorded] = JSON.parse(parts);
  const isRecoverable = isDead && isRecorded && !isInterrupted;
  return { id, questionId, questionDigest, answerId, replaces, isDead, isInterrupted, isRecoverable };
}

import { type SQL, sql } from "drizzle-orm";
import { isDead, mayStillEnd } from "../conversation/turn-marks.ts";
import { execute, executeChange } from "../database/execute.ts";
import { type Asker, type ChatTables, ownedByAsker } from "../schema.ts";
import type { ChatDatabase } from "../types.ts";

export interface Ids extends Asker {
  chatId: string;
}

/** What a running turn learns from the database whenever it writes there. */
export interface Beat {
  /** The chat is there, and is this user's, or was when the turn began. */
  owned: 0 | 1;
  /** The turn's mark is there. Without it the chat, the question or the answer was deleted. */
  marked: 0 | 1;
  /** The turn runs, with as much recorded as its writer believes if it says so. */
  found: 0 | 1;
  stop: 0 | 1;
  superseded: 0 | 1;
}

/**
 * Nobody waits for what is recorded, and what a crash of Postgres takes of it is found missing by `chunks`. PGlite has no process
 * that would write it down a little later, so that all of it would be lost with the application's.
 */
const withoutWaitingForTheDisk = sql`set_config('synchronous_commit',
case when version() like '%PGlite%' then current_setting('synchronous_commit') else 'off' end, true)`;

const ownedChat = ({ chats }: ChatTables, { chatId, ...asker }: Ids) =>
  sql`select chats.id from ${chats} where chats.id = ${chatId} and ${ownedByAsker(chats, asker)}`;

/**
 * A heartbeat of a running turn, with the next piece of its recording if there is one. Sent again after a failure, a piece is
 * written once: `position` is how many are there before it. A writer that has given the recording up has none. A turn that was taken for
 * dead runs again.
 */
export async function beat(
  db: ChatDatabase,
  tables: ChatTables,
  ids: Ids,
  turnId: string,
  position: number | undefined,
  text: string | undefined,
): Promise<Beat> {
  const { turns, turnChunks } = tables;
  const ofTurn = (when: SQL) => sql`where t.chat_id = ${ids.chatId} and t.id = ${turnId}::uuid and exists (table owned)
and (t.ended_at is null or t.interrupted) and ${when} returning t.stop::int stopped, t.superseded::int overtaken`;
  const running = sql`beat_at = now(), ended_at = null, interrupted = false`;
  const written = sql`update ${turns} t set ${running}, chunks = ${position}::int + 1
${ofTurn(sql`t.chunks in (${position}::int, ${position}::int + 1)`)}`;
  const asBelieved = position === undefined ? sql`true` : sql`t.chunks = ${position}::int`;
  const silent = sql`update ${turns} t set ${running} ${ofTurn(asBelieved)}`;
  const piece = sql`insert into ${turnChunks} (chat_id, turn_id, seq, text)
select ${ids.chatId}, ${turnId}::uuid, ${position}::int, ${text} from beat on conflict (chat_id, turn_id, seq) do nothing`;
  const [result] = await execute<Beat & { synchronousCommit: string }>(db, {
    with: {
      owned: ownedChat(tables, ids),
      beat: text === undefined ? silent : written,
      ...(text !== undefined && { piece }),
    },
    select: {
      owned: sql`(select count(*) from owned)::int`,
      marked: sql`(select count(*) from ${turns} t where t.chat_id = ${ids.chatId} and t.id = ${turnId}::uuid)::int`,
      found: sql`(select count(*) from beat)::int`,
      stop: sql`coalesce((select max(stopped) from beat), 0)::int`,
      superseded: sql`coalesce((select max(overtaken) from beat), 0)::int`,
      synchronousCommit: withoutWaitingForTheDisk,
    },
    from: sql`(select) once`,
  });
  return result ?? { owned: 0, marked: 0, found: 0, stop: 0, superseded: 0 };
}

/** A turn as those see it who read its recording. */
export interface RecordedTurn {
  id: string;
  questionId: string;
  answerId: string;
  /** How many pieces its writer has recorded. */
  chunks: number;
  isEnded: boolean;
  isInterrupted: boolean;
  /** It has not ended, and its heartbeat has been missing for so long that its process must be gone. */
  isStale: boolean;
  /** Its writer has given it up. */
  isAbandoned: boolean;
}

/** What a page of a recording holds at most, and no more than that of a piece after the first: a reader keeps one page in memory. */
const [piecesOfPage, bytesOfPage] = [200, 256_000];

/** A sign of life comes every second; ten of them are a long silence. */
const isStaleTurn = sql.raw("(t.ended_at is null and t.beat_at < now() - interval '10 seconds')");

/** Pieces of a recording that follow one another. */
export interface RecordedPage {
  turn: RecordedTurn;
  texts: string[];
  /** Nothing more can be read now. */
  isLastPage: boolean;
}

/**
 * The turn of this id, or else the newest that runs, and the next pieces of its recording after as many as `position`. Not one
 * that was superseded, and not one that has had the time to record something and did not.
 */
export async function readRecording(
  db: ChatDatabase,
  tables: ChatTables,
  ids: Ids,
  { turnId, position }: { turnId?: string | undefined; position: number },
): Promise<RecordedPage | undefined> {
  const { turns, turnChunks } = tables;
  const chosen = turnId
    ? sql`t.id = ${turnId}::uuid`
    : sql`t.ended_at is null and (t.chunks > 0 or not ${isStaleTurn})`;
  const rows = await execute<{ turn: string; seq: number | null; piece: string | null }>(db, {
    with: {
      owned: ownedChat(tables, ids),
      turn: sql`select t.id, json_build_array(t.id, t.question_id, t.answer_id, t.chunks, t.ended_at is not null, t.interrupted, ${isStaleTurn}, t.beat_at = 'epoch')::text found
from ${turns} t where t.chat_id = ${ids.chatId} and exists (table owned) and not t.superseded and ${chosen} order by t.started_at desc, t.id limit 1`,
    },
    select: { turn: sql`turn.found`, seq: sql`k.seq`, piece: sql`k.text` },
    from: sql`turn left join lateral (select k.seq, k.text from (
select k.seq, k.text, sum(octet_length(k.text)) over (order by k.seq) bytes from (
select k.seq, k.text from ${turnChunks} k where k.chat_id = ${ids.chatId} and k.turn_id = turn.id and k.seq >= ${position}::int order by k.seq limit ${piecesOfPage}
) k) k where k.bytes <= ${bytesOfPage} or k.seq = ${position}::int) k on true order by k.seq`,
  });
  const [first] = rows;
  if (!first) return undefined;
  const [id, questionId, answerId, chunks, isEnded, isInterrupted, isStale, isAbandoned] = JSON.parse(first.turn);
  // What comes after a piece that is missing is of no use.
  const pieces = rows.filter(({ seq }, index) => seq === position + index);
  return {
    turn: { id, questionId, answerId, chunks, isEnded, isInterrupted, isStale, isAbandoned },
    texts: pieces.map(({ piece }) => piece ?? ""),
    // Where a piece is missing, it is the page that finds none.
    isLastPage: pieces.length === 0 || position + pieces.length >= chunks,
  };
}

/** The whole recording of a turn, page by page, up to the first piece that is missing. */
export async function* readWholeRecording(
  db: ChatDatabase,
  tables: ChatTables,
  ids: Ids,
  turnId: string,
): AsyncGenerator<string[], void, void> {
  let position = 0;
  let page: RecordedPage | undefined;
  do {
    page = await readRecording(db, tables, ids, { turnId, position });
    if (page) yield page.texts;
    position += page?.texts.length ?? 0;
  } while (page && !page.isLastPage);
}

/** Its writer will not write any more, and says so: others need not wait until its silence has become long. */
export async function abandon(db: ChatDatabase, tables: ChatTables, ids: Ids, turnId: string): Promise<void> {
  const forgotten = sql`update ${tables.turns} t set beat_at = 'epoch' where t.chat_id = ${ids.chatId} and t.id = ${turnId}::uuid
and t.ended_at is null and t.chunks > 0 and exists (${ownedChat(tables, ids)})`;
  await executeChange(db, forgotten);
}

/** Takes the mark and the recording of a turn away that ends without an answer. */
export async function forget(db: ChatDatabase, tables: ChatTables, ids: Ids, turnId: string): Promise<void> {
  const failed = sql`delete from ${tables.turns} t where t.chat_id = ${ids.chatId} and t.id = ${turnId}::uuid and exists (${ownedChat(tables, ids)})`;
  await executeChange(db, failed);
}

/** Takes away what this chat's turns have left that ended a minute ago. */
export async function sweep(db: ChatDatabase, tables: ChatTables, ids: Ids): Promise<void> {
  const expired = sql`delete from ${tables.turns} t where t.chat_id = ${ids.chatId}
and not t.interrupted and t.ended_at < now() - interval '60 seconds' and exists (${ownedChat(tables, ids)})`;
  await executeChange(db, expired);
}

/**
 * Asks the turns to stop that run; with `messageId`, only those that answer or write this message. One that seems dead is asked, too: its
 * process may live.
 *
 * @returns whether there was one that runs.
 */
export async function askToStop(
  db: ChatDatabase,
  tables: ChatTables,
  ids: Ids,
  messageId: string | undefined,
): Promise<boolean> {
  const { turns } = tables;
  const ofChat = sql`from ${turns} t where t.chat_id = ${ids.chatId}`;
  const which = messageId === undefined ? sql`true` : sql`${messageId} in (t.question_id, t.answer_id)`;
  const [result] = await execute<{ running: number }>(db, {
    with: {
      owned: ownedChat(tables, ids),
      asked: sql`update ${turns} t set stop = true where t.chat_id = ${ids.chatId} and ${mayStillEnd} and ${which} and exists (table owned) returning t.id`,
    },
    // Not by what the update returns: Citus lets it return nothing that depends on the time.
    select: { running: sql`(select count(*) ${ofChat} and t.id in (table asked) and not ${isDead})::int` },
    from: sql`(select) once`,
  });
  return Boolean(result?.running);
}

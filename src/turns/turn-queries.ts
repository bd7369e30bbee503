import { hasEndedLongAgo, isDead, isStale, mayStillEnd } from "../conversation/turn-liveness.ts";
import type { Context } from "../database/context.ts";
import { oneRow } from "../database/preparable-query.ts";
import { query, write } from "../database/query.ts";
import { sql } from "../database/sql.ts";
import { type Actor, accessibleTo, type ChatTables } from "../schema.ts";

/** A chat, and the user, or the turn that this user began, as which it is accessed. */
export interface ActorInChat extends Actor {
  chatId: string;
}

/** What a running turn learns from the database with each heartbeat. */
export interface HeartbeatResult {
  /** The turn has access to its chat. Otherwise the chat was deleted. */
  owned: 0 | 1;
  /** The turn's row exists. Otherwise the chat, the question or the answer was deleted. */
  exists: 0 | 1;
  /** The turn runs, and as much of it is recorded as its recorder believes. */
  running: 0 | 1;
  stop: 0 | 1;
  superseded: 0 | 1;
}

/**
 * Commits asynchronously: a crash of Postgres may lose the last pieces, and the column `chunks` reveals it. PGlite has
 * no background process that writes its log, and would lose all pieces, so it keeps its setting.
 */
const commitAsynchronously = sql`
  set_config(
    'synchronous_commit',
    case when version() like '%PGlite%' then current_setting('synchronous_commit') else 'off' end,
    true
  )`;

const accessibleChat = ({ chats }: ChatTables, { chatId, ...actor }: ActorInChat) =>
  sql`select chats.version from ${chats} where chats.id = ${chatId} and ${accessibleTo(chats, actor)}`;

/**
 * Writes a heartbeat of a running turn and, if there is one, the next piece of its recording. A turn that was declared
 * dead runs again.
 *
 * @param position - how many pieces are recorded before this one, so that a piece that is sent again after a failure is
 * written once. A recorder that has given up passes none.
 */
export async function heartbeat(
  context: Context,
  actor: ActorInChat,
  turnId: string,
  position: number | undefined,
  text: string | undefined,
): Promise<HeartbeatResult> {
  const { turns, turnChunks } = context.tables;
  const isTurn = sql`t.chat_id = ${actor.chatId} and t.id = ${turnId}::uuid`;
  const setChunks = text === undefined ? sql`` : sql`, chunks = ${position}::int + 1`;
  // One more piece may be recorded if this one is sent again.
  const acceptedChunks = text === undefined ? sql`${position}::int` : sql`${position}::int, ${position}::int + 1`;
  const hasPosition = position === undefined ? sql`true` : sql`t.chunks in (${acceptedChunks})`;
  const [result] = await query<HeartbeatResult & { synchronousCommit: string }>(context, {
    ctes: {
      accessible_chat: accessibleChat(context.tables, actor),
      running_turn: sql`
        update ${turns} t
        set beat_at = now(), ended_at = null, interrupted = false ${setChunks}
        where
          ${isTurn}
          and exists (table accessible_chat)
          and (t.ended_at is null or t.interrupted)
          and ${hasPosition}
        returning t.stop::int as stop, t.superseded::int as superseded`,
      ...(text !== undefined && {
        inserted_piece: sql`
          insert into ${turnChunks} (chat_id, turn_id, seq, text)
          select ${actor.chatId}, ${turnId}::uuid, ${position}::int, ${text}
          from running_turn
          on conflict (chat_id, turn_id, seq) do nothing`,
      }),
    },
    columns: {
      owned: sql`(select count(*) from accessible_chat)::int`,
      exists: sql`(select count(*) from ${turns} t where ${isTurn})::int`,
      running: sql`(select count(*) from running_turn)::int`,
      stop: sql`coalesce((select max(stop) from running_turn), 0)::int`,
      superseded: sql`coalesce((select max(superseded) from running_turn), 0)::int`,
      synchronousCommit: commitAsynchronously,
    },
    from: oneRow,
  });
  return result ?? { owned: 0, exists: 0, running: 0, stop: 0, superseded: 0 };
}

/** A turn as the readers of its recording see it. */
export interface RecordedTurn {
  id: string;
  /** The version of the chat. */
  version: number;
  questionId: string;
  answerId: string;
  /** How many pieces are recorded. */
  chunks: number;
  isEnded: boolean;
  isInterrupted: boolean;
  isStale: boolean;
  /** Its process has given up saving the answer and sends no more heartbeats. */
  isAbandoned: boolean;
}

/** Limits of a page, which a reader keeps in memory. If its first piece is larger, a page has only that piece. */
const maxPageLength = 200;
const maxPageBytes = 256_000;

/** Pieces of a recording that follow one another. */
export interface RecordingPage {
  turn: RecordedTurn;
  pieces: string[];
  /** No more pieces can be read now. */
  isLastPage: boolean;
}

/**
 * Reads the pieces of a recording after the first `position`: of the turn with this id, or else of the newest turn that
 * runs. Skips superseded turns, and turns that are stale before their first piece.
 */
export async function readRecording(
  context: Context,
  actor: ActorInChat,
  { turnId, position }: { turnId?: string | undefined; position: number },
): Promise<RecordingPage | undefined> {
  const { turns, turnChunks } = context.tables;
  const isRunning = sql`t.ended_at is null and (t.chunks > 0 or not ${isStale})`;
  const isWanted = turnId ? sql`t.id = ${turnId}::uuid` : isRunning;
  const rows = await query<{ turn: string; seq: number | null; text: string | null }>(context, {
    ctes: {
      accessible_chat: accessibleChat(context.tables, actor),
      turn: sql`
        select
          t.id,
          json_build_array(
            t.id, accessible_chat.version, t.question_id, t.answer_id, t.chunks,
            t.ended_at is not null, t.interrupted, ${isStale}, t.beat_at = 'epoch'
          )::text as data
        from ${turns} t
        cross join accessible_chat
        where t.chat_id = ${actor.chatId} and not t.superseded and ${isWanted}
        order by t.started_at desc, t.id
        limit 1`,
    },
    columns: { turn: sql`turn.data`, seq: sql`page.seq`, text: sql`page.text` },
    from: sql`
      turn
      left join lateral (
        select measured.seq, measured.text
        from (
          select pieces.seq, pieces.text, sum(octet_length(pieces.text)) over (order by pieces.seq) as bytes
          from (
            select k.seq, k.text
            from ${turnChunks} k
            where k.chat_id = ${actor.chatId} and k.turn_id = turn.id and k.seq >= ${position}::int
            order by k.seq
            limit ${maxPageLength}
          ) pieces
        ) measured
        where measured.bytes <= ${maxPageBytes} or measured.seq = ${position}::int
      ) page on true
      order by page.seq`,
  });
  const [first] = rows;
  if (!first) return undefined;
  const [id, version, questionId, answerId, chunks, isEnded, isInterrupted, stale, isAbandoned] = JSON.parse(
    first.turn,
  );
  // Stops at a missing piece: the message cannot be assembled without it.
  const pieces = rows.filter(({ seq }, index) => seq === position + index);
  return {
    turn: { id, version, questionId, answerId, chunks, isEnded, isInterrupted, isStale: stale, isAbandoned },
    pieces: pieces.map(({ text }) => text ?? ""),
    // A page without pieces is the last also if the next piece is missing.
    isLastPage: pieces.length === 0 || position + pieces.length >= chunks,
  };
}

/** Reads the whole recording of a turn, page by page, up to the first missing piece. */
export async function* readWholeRecording(
  context: Context,
  actor: ActorInChat,
  turnId: string,
): AsyncGenerator<string[], void, void> {
  let position = 0;
  let page: RecordingPage | undefined;
  do {
    page = await readRecording(context, actor, { turnId, position });
    if (page) yield page.pieces;
    position += page?.pieces.length ?? 0;
  } while (page && !page.isLastPage);
}

/** Marks a turn whose process has given up, so that readers need not wait until its heartbeats are missing. */
export async function markAbandoned(context: Context, actor: ActorInChat, turnId: string): Promise<void> {
  const { turns } = context.tables;
  await write(
    context,
    sql`
      update ${turns} t
      set beat_at = 'epoch'
      where
        t.chat_id = ${actor.chatId}
        and t.id = ${turnId}::uuid
        and t.ended_at is null
        and t.chunks > 0
        and exists (${accessibleChat(context.tables, actor)})`,
  );
}

/** Deletes the row and the recording of a turn that ends without an answer. */
export async function deleteTurn(context: Context, actor: ActorInChat, turnId: string): Promise<void> {
  const { turns } = context.tables;
  await write(
    context,
    sql`
      delete from ${turns} t
      where
        t.chat_id = ${actor.chatId}
        and t.id = ${turnId}::uuid
        and exists (${accessibleChat(context.tables, actor)})`,
  );
}

/** Deletes the rows and recordings of ended turns of the chat, once readers have had the time to read their end. */
export async function deleteEndedTurns(context: Context, actor: ActorInChat): Promise<void> {
  const { turns } = context.tables;
  await write(
    context,
    sql`
      delete from ${turns} t
      where t.chat_id = ${actor.chatId} and ${hasEndedLongAgo} and exists (${accessibleChat(context.tables, actor)})`,
  );
}

/**
 * Asks running turns to stop; with `messageId`, only the turns that answer or write this message. Also asks turns that
 * seem dead, because their processes may live.
 *
 * @returns whether a turn was running.
 */
export async function requestStop(
  context: Context,
  actor: ActorInChat,
  messageId: string | undefined,
): Promise<boolean> {
  const { turns } = context.tables;
  const isWanted = messageId === undefined ? sql`true` : sql`${messageId} in (t.question_id, t.answer_id)`;
  const [result] = await query<{ running: number }>(context, {
    ctes: {
      accessible_chat: accessibleChat(context.tables, actor),
      asked_turns: sql`
        update ${turns} t
        set stop = true
        where t.chat_id = ${actor.chatId} and ${mayStillEnd} and ${isWanted} and exists (table accessible_chat)
        returning t.id`,
    },
    // Counted apart, because Citus lets an update return nothing that depends on the time.
    columns: {
      running: sql`(
        select count(*)
        from ${turns} t
        where t.chat_id = ${actor.chatId} and t.id in (table asked_turns) and not ${isDead}
      )::int`,
    },
    from: oneRow,
  });
  return Boolean(result?.running);
}

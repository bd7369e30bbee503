import type { Context } from "../database/context.ts";
import { query } from "../database/query.ts";
import { sql } from "../database/sql.ts";
import type { Actor } from "../schema.ts";
import type { BranchPoint } from "../types.ts";
import { branchPointsIn, pointRows } from "./branch-points.ts";
import { parseChat } from "./chat-row.ts";
import type { StoredChat } from "./load-chat.ts";
import { currentChat, type LoadedRow, loadedColumns, messagesIn } from "./loaded-rows.ts";
import { runningTurnsIn, unionTurns } from "./running-turns.ts";

/** Which messages of a chat to load. */
export interface Window {
  /** At most so many: the last ones. */
  limit: number;
  /** The id of a message: load only messages before it. */
  before?: string | undefined;
  /**
   * The id of a message: load messages up to and including it, and of later messages only id, role, order and digest.
   * If the chat has no such message, load its last messages.
   */
  upTo?: string | undefined;
  /** Find out which of these ids messages up to and including `upTo` have. */
  idsToCheck?: readonly string[] | undefined;
  /** Load the rows of turns, too. */
  forTurn?: boolean | undefined;
  /** Find the points at which the conversation has alternatives. */
  withBranches?: boolean | undefined;
}

export interface ChatWindow extends StoredChat {
  /** When each of `rows` was first stored. */
  sentAt: Date[];
  /** Whether the chat has messages before the first of `rows`. */
  hasMore: boolean;
  /** Whether the chat has the message `before` or `upTo`. */
  anchorExists: boolean;
  /** The points at which the conversation has alternatives, if they were asked for. */
  branches: BranchPoint[];
  /** Those of `idsToCheck` that messages have. */
  existingIds: string[];
}

/**
 * Loads the end of a chat, or what comes before or up to one of its messages, if the actor has access to it. The cost
 * does not depend on the length of the chat: the index on the order of messages finds them, and only they are read.
 */
export async function loadWindow(
  context: Context,
  actor: Actor & { chatId: string },
  { limit, before, upTo, idsToCheck = [], forTurn = false, withBranches = false }: Window,
): Promise<ChatWindow | null> {
  const { chats, messages, turns } = context.tables;
  const { chatId } = actor;
  const anchorId = before ?? upTo ?? null;
  const inRange =
    before === undefined
      ? sql`m."order" <= coalesce((select position from anchor), 2147483647)`
      : sql`m."order" < (select position from anchor)`;
  // The order makes Postgres use its index. For an `exists`, it may read the whole table up to the first match.
  const hasMore = sql`
    (
      select m."order"
      from ${messages} m
      where m.chat_id = ${chatId} and m."order" < (select position from window_start)
      order by m."order" desc
      limit 1
    ) is not null`;
  const unionLaterMessages = sql`
    union all
    select 'later message', null, m.id, m.role, '', null, m."order", encode(m.digest, 'hex')
    from ${messages} m
    where m.chat_id = ${chatId} and m."order" > (select position from anchor)`;
  const unionExistingIds = sql`
    union all
    select 'existing id', null, m.id, null, null, null, 0, null
    from ${messages} m
    where
      m.chat_id = ${chatId}
      and m."order" <= (select position from anchor)
      and m.id in (select json_array_elements_text(${JSON.stringify(idsToCheck)}::text::json))`;

  const unionPoints = sql` union all ${pointRows(context.tables, chatId)}`;

  const loaded = await query<LoadedRow>(context, {
    ctes: {
      current_chat: currentChat(chats, actor),
      anchor: sql`
        select m."order" as position
        from ${messages} m
        where m.chat_id = ${chatId} and m.id = ${anchorId}::text and exists (table current_chat)`,
      window_start: sql`
        select min(position) as position
        from (
          select m."order" as position
          from ${messages} m
          where m.chat_id = ${chatId} and exists (table current_chat) and ${inRange}
          order by m."order" desc
          limit ${limit}::bigint
        ) last_messages`,
    },
    columns: loadedColumns,
    from: sql`
      (
        select
          'message' as kind, (extract(epoch from m.created_at) * 1000)::text as data,
          m.id, m.role, m.parts::text, m.metadata::text, m."order", '' as digest
        from ${messages} m
        where m.chat_id = ${chatId} and m."order" >= (select position from window_start) and ${inRange}
        union all
        select
          'chat', json_build_array(chat, row_version, ${hasMore}, exists (table anchor))::text,
          null, null, null, null, 0, null
        from current_chat
        ${upTo === undefined ? sql`` : unionLaterMessages}
        ${idsToCheck.length === 0 ? sql`` : unionExistingIds}
        ${forTurn ? unionTurns(turns, chatId) : sql``}${withBranches ? unionPoints : sql``}
      ) loaded`,
  });
  const row = loaded.find(({ kind }) => kind === "chat");
  if (!row) return null;
  const [chat, rowVersion, hasEarlier, anchorExists]: [string, string, boolean, boolean] = JSON.parse(row.data);
  const rows = messagesIn(loaded);
  return {
    chat: parseChat(chat),
    rowVersion,
    rows,
    firstOrder: rows[0]?.order ?? 0,
    ...runningTurnsIn(loaded),
    branches: branchPointsIn(loaded),
    sentAt: rows.map(({ data }) => new Date(Number(data))),
    hasMore: hasEarlier,
    anchorExists,
    existingIds: loaded.filter(({ kind }) => kind === "existing id").map(({ id }) => id),
  };
}

/** The last `limit` rows, beginning with a user's message if there is one among them. */
export function lastOf<Row extends { role: string }>(rows: readonly Row[], limit: number): readonly Row[] {
  const last = rows.slice(-limit);
  const start = last.findIndex(({ role }) => role === "user");
  return last.slice(Math.max(start, 0));
}

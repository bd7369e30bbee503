import { type SQL, sql } from "drizzle-orm";
import { chatRow, parseChat } from "../conversation/chat-row.ts";
import { execute } from "../database/execute.ts";
import { asUser } from "../database/row-level-security.ts";
import { columnsNamed } from "../database/statement.ts";
import { InvalidChatError } from "../errors.ts";
import { parseInput, searchChatsInput } from "../input.ts";
import { type ChatTables, ownedBy } from "../schema.ts";
import type { Chat, ChatDatabase, ChatMatch, ChatMatches, SearchChatsInput, StoreSettings } from "../types.ts";
import { excerptIn } from "./excerpt.ts";
import { finderOf } from "./finder.ts";
import { needlessEscape, patternOf, type SearchPattern } from "./search-pattern.ts";

/**
 * How much one call looks at: chats, messages, and bytes of these as JSON. `sentBytes` is how much of that JavaScript is given, which does
 * nothing else while it looks at it. Of bytes, the last message may be more.
 */
const most = {
  chats: sql.raw("500"),
  messages: sql.raw("5000"),
  bytes: sql.raw("8000000"),
  sentBytes: sql.raw("2000000"),
};

/** How far a search has come: a chat of which everything from this `"order"` on has been looked at. */
interface Cursor {
  chatId: string;
  /** Milliseconds. */
  updatedAt: number;
  order: number;
}
/** The order of a title, which is looked at before all messages. */
const ofTitle = 2 ** 31;

/**
 * Walks through the chats of a user in the order of the list, and through their messages from the end, until it has looked at enough.
 * No index: those of one user are few. No second copy of the texts, which could be another than what is stored.
 */
export async function searchChats(
  db: ChatDatabase,
  tables: ChatTables,
  input: SearchChatsInput,
  settings: StoreSettings,
): Promise<ChatMatches> {
  const { userId, query, limit = 20, cursor } = parseInput(searchChatsInput, input);
  const from = cursor === undefined ? undefined : decodeCursor(cursor);
  const statement = walk(tables, userId, { pattern: patternOf(query), limit, from }, settings);
  const rows = await asUser(db, { userId }, settings, (db) => execute<Found>(db, statement));

  const chats = new Map(rows.flatMap(({ rank, chat }) => (chat === null ? [] : [[rank, parseChat(chat)] as const])));
  const ordered = rows.sort((a, b) => a.rank - b.rank || b.order - a.order);
  const find = finderOf(query);
  const matches = ordered.flatMap(({ kind, rank, id, role, parts }): ChatMatch[] => {
    const chat = chats.get(rank);
    if (!chat || kind === "next") return [];
    const texts = kind === "title" ? [chat.title] : textsIn(JSON.parse(parts));
    // What the statement has found is a little more than what counts.
    const excerpt = texts.map((text) => excerptIn(text, find)).find((excerpt) => excerpt !== undefined);
    return excerpt ? [{ chat, messageId: id, role, excerpt }] : [];
  });
  const next = rows.find(({ kind }) => kind === "next");
  const chat = next && chats.get(next.rank);
  return { matches, cursor: chat ? encodeCursor(chat, next.order) : null };
}

interface Found {
  /** `next` is where to go on, if not everything has been looked at. */
  kind: "title" | "message" | "next";
  rank: number;
  /** In one of its rows alone. */
  chat: string | null;
  order: number;
  id: string | null;
  role: string | null;
  parts: string;
}

function walk(
  { chats, messages }: ChatTables,
  userId: string,
  { pattern, limit, from }: { pattern: SearchPattern; limit: number; from: Cursor | undefined },
  { portable }: StoreSettings,
) {
  const title = sql.raw(`${ofTitle}`);
  const fromPlace = from
    ? sql` and (chats.updated_at, chats.id) <= (${new Date(from.updatedAt).toISOString()}::timestamptz, ${from.chatId}::text)`
    : sql``;
  // Of each chat, everything with an order below its `top` has yet to be looked at.
  const top = from
    ? sql`case chats.id when ${from.chatId} then ${from.order}::bigint else ${title} + 1 end`
    : sql`${title} + 1`;
  // Orders begin with 0 and have no gaps: the last one says how many messages there are, and no other is read for that.
  const length = sql`coalesce((select max(m."order") + 1::bigint from ${messages} m where m.chat_id = chats.id and m."order" < ${top}), 0)`;
  const isNeeded = sql`m."order" >= n.first and m."order" < n.top`;
  // What has to be decompressed to be measured is bounded first, by what it takes up in its compressed form.
  const looked = (sized: SQL) =>
    sql`select *, sum(bytes) over (order by rank, o desc) - bytes before from (${sized}) sized`;
  const walked = {
    walked: sql`select n.rank, n.id chat_id, m.*, sum(size) over (order by n.rank, o desc) - size stored from needed n cross join lateral (
select m.id, m."order" o, m.role, m.parts, pg_column_size(m.parts) size from ${messages} m
where m.chat_id = n.id and ${isNeeded} order by m."order" desc limit ${most.messages}
) m`,
    looked: looked(
      sql`select *, case when stored < ${most.bytes} then octet_length(parts::text) else ${most.bytes} end bytes from walked`,
    ),
  };
  // Shards know no lateral limit. Only of what is looked at, they read what it says.
  const walkedOverShards = {
    keys: sql`select n.rank, m.chat_id, m.id, m."order" o, m.role, pg_column_size(m.parts) size from needed n join ${messages} m on m.chat_id = n.id where ${isNeeded}`,
    walked: sql`select *, sum(size) over (order by rank, o desc) - size stored from keys`,
    sizes: sql`select w.chat_id, w.id, octet_length(m.parts::text) bytes from walked w join ${messages} m on m.chat_id = w.chat_id and m.id = w.id where stored < ${most.bytes}`,
    looked: looked(
      sql`select w.*, coalesce(bytes, ${most.bytes}) bytes from walked w left join sizes using (chat_id, id)`,
    ),
    read: sql`select w.*, m.parts from looked w join ${messages} m on m.chat_id = w.chat_id and m.id = w.id where before < ${most.bytes}`,
  };
  return {
    with: {
      page: sql`select row_number() over (order by updated_at desc, id desc) rank, * from (
select chats.id, user_id, title, version, created_at, updated_at, archived_at, metadata, ${top} top, ${length} length from ${chats}
where ${ownedBy(chats, userId)}${fromPlace} order by chats.updated_at desc, chats.id desc limit ${most.chats}
) page`,
      // The chats that hold the first 5,000 messages of these, and from which order on.
      needed: sql`select rank, id, title, top, greatest(length - ${most.messages} + passed, 0)::bigint first from (
select *, sum(length) over (order by rank) - length passed from page
) page where passed < ${most.messages}`,
      ...(portable ? walkedOverShards : walked),
      // The last message that is looked at, if the bytes are not enough for all; or else all of these chats have been.
      cut: sql`select rank, o from looked where before < ${most.bytes} and exists (select from looked where before >= ${most.bytes}) order by rank desc, o limit 1`,
      place: sql`table cut union all (select rank, first from needed where not exists (table cut) order by rank desc limit 1)`,
      // A needless escape makes a text a candidate, which the second pattern decides.
      hits: sql`select 'title' kind, rank, ${title} o, null id, null role, '' parts, 0 bytes from needed
where rank <= (select rank from place) and top > ${title} and title collate "C" ~ ${pattern.text}
union all
select 'message', rank, o, id, role, parts::text, bytes from ${portable ? sql`read` : sql`looked`} where case when before < ${most.bytes} then
parts::text collate "C" ~ ${pattern.json} and (parts::text !~ ${needlessEscape} or parts::text collate "C" ~ ${pattern.escapedJson}) end
order by rank, o desc limit ${limit}::bigint`,
      measured: sql`select *, sum(bytes) over (order by rank, o desc) - bytes sent from hits`,
      found: sql`select * from measured where sent < ${most.sentBytes}`,
      // Where to go on: after the last that is sent, if there may be more, or else where the walk has stopped.
      last: sql`select rank, o from found
where (select count(*) from hits) = ${limit}::bigint or exists (select from measured where sent >= ${most.sentBytes})
order by rank desc, o limit 1`,
      next: sql`select *, 'next' kind, null id, null role, '' parts from (
table last union all select * from place where not exists (table last) and (o > 0 or rank = ${most.chats} or rank < (select count(*) from page))
) next`,
      shown: sql`table next union all select rank, o, kind, id, role, parts from found`,
    },
    select: {
      ...columnsNamed("kind", "role", "parts"),
      id: sql`shown.id`,
      rank: sql`rank::int`,
      order: sql`o::float8`,
      chat: sql`case lag(rank) over (order by rank, o desc) when rank then null else ${chatRow} end`,
    },
    from: sql`shown join page chats using (rank)`,
  };
}

type Part = { type?: unknown; text?: unknown; parts?: unknown } | null;

/**
 * The texts of text parts, also of those in what a person has told the model while it was answering. Not its reasoning, and not what tools
 * were given or gave.
 */
function textsIn(parts: unknown): string[] {
  const told = partsOf(parts).flatMap((part) => (part?.type === "steering-message" ? partsOf(part.parts) : [part]));
  return told.flatMap((part) => (part?.type === "text" && typeof part.text === "string" ? [part.text] : []));
}

/** Others may have written anything. */
const partsOf = (parts: unknown): Part[] => (Array.isArray(parts) ? parts : []);

function encodeCursor({ id, updatedAt }: Chat, order: number): string {
  return Buffer.from(JSON.stringify([id, updatedAt.getTime(), order])).toString("base64url");
}

function decodeCursor(text: string): Cursor {
  try {
    const [chatId, updatedAt, order] = JSON.parse(Buffer.from(text, "base64url").toString());
    const isText = typeof chatId === "string" && chatId.isWellFormed() && !chatId.includes("\0");
    const isOrder = Number.isInteger(order) && order >= 0 && order <= ofTitle;
    if (isText && isOrder && isInReach(updatedAt)) return { chatId, updatedAt, order };
  } catch {
    // Not what any call has given.
  }
  throw new InvalidChatError([
    {
      path: ["cursor"],
      message: "is no cursor; expected the one of the previous page, unchanged, or none for the first",
    },
  ]);
}

/** Whether Postgres can read it, whose years begin with 1. Later ones than 9999 have another form. */
function isInReach(milliseconds: unknown): boolean {
  if (!Number.isInteger(milliseconds)) return false;
  const year = new Date(Number(milliseconds)).getUTCFullYear();
  return year >= 1 && year <= 9999;
}

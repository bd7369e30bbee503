import type { SQL } from "drizzle-orm";
import { chatJson } from "../conversation/chat-row.ts";
import type { Context } from "../database/context.ts";
import type { PreparableQuery } from "../database/preparable-query.ts";
import { sql } from "../database/sql.ts";
import { ownedBy } from "../schema.ts";
import { type SearchCursor, titleOrder } from "./search-cursor.ts";
import { needlessEscape, type SearchPattern } from "./search-pattern.ts";

/**
 * How much one call scans: chats, messages, and bytes of their JSON. `sentBytes` is how much of it the call sends to
 * JavaScript, which does nothing else while it searches. The last message may exceed the number of bytes.
 */
const limits = {
  chats: sql.raw("500"),
  messages: sql.raw("5000"),
  bytes: sql.raw("8000000"),
  sentBytes: sql.raw("2000000"),
};

export interface FoundRow {
  /** `next` is where the next call goes on, if this one has not scanned everything. */
  kind: "title" | "message" | "next";
  /** The chat's place in the list. */
  rank: number;
  /** Only in one row of each chat. */
  chat: string | null;
  order: number;
  id: string | null;
  role: string | null;
  parts: string;
}

/**
 * The statement works in five phases: it picks chats, picks messages, measures them, matches them, and says where it
 * stopped.
 */
export function scanStatement(
  { tables: { chats, messages }, settings: { portable } }: Context,
  userId: string,
  { pattern, limit, start }: { pattern: SearchPattern; limit: number; start: SearchCursor | undefined },
): PreparableQuery<FoundRow> {
  const title = sql.raw(`${titleOrder}`);
  const andFromStart = start
    ? sql`
      and (chats.updated_at, chats.id) <=
        (${new Date(start.updatedAt).toISOString()}::timestamptz, ${start.chatId}::text)`
    : sql``;
  // Everything in a chat whose order is below its `top` has yet to be scanned.
  const top = start
    ? sql`case chats.id when ${start.chatId} then ${start.order}::bigint else ${title} + 1 end`
    : sql`${title} + 1`;
  // Orders begin with 0 and have no gaps, so that the last one tells the number of messages without reading the others.
  const length = sql`
    coalesce(
      (select max(m."order") + 1::bigint from ${messages} m where m.chat_id = chats.id and m."order" < ${top}),
      0
    )`;
  const withinBytes = sql`bytes_before < ${limits.bytes}`;
  return {
    ctes: {
      page: sql`
        select row_number() over (order by updated_at desc, id desc) as rank, *
        from (
          select
            chats.id, user_id, title, version, created_at, updated_at, archived_at, metadata,
            ${top} as top,
            ${length} as length
          from ${chats}
          where ${ownedBy(chats, userId)} ${andFromStart}
          order by chats.updated_at desc, chats.id desc
          limit ${limits.chats}
        ) chats_of_user`,
      // The chats that hold the first 5,000 messages, and from which order on.
      scanned_chats: sql`
        select rank, id, title, top, greatest(length - ${limits.messages} + messages_before, 0)::bigint as first
        from (
          select *, sum(length) over (order by rank) - length as messages_before
          from page
        ) counted_chats
        where messages_before < ${limits.messages}`,
      ...(portable ? measureOnShards(messages) : measure(messages)),
      // The last message that is scanned, if the bytes do not suffice for all messages.
      stopped_at: sql`
        select rank, position
        from measured_messages
        where ${withinBytes} and exists (select from measured_messages where not ${withinBytes})
        order by rank desc, position
        limit 1`,
      // Or else the beginning of the last chat.
      scanned_to: sql`
        table stopped_at
        union all
        (select rank, first from scanned_chats where not exists (table stopped_at) order by rank desc limit 1)`,
      // A needless escape makes any text a candidate. Then the second pattern decides.
      hits: sql`
        select 'title' as kind, rank, ${title} as position, null as id, null as role, '' as parts, 0 as bytes
        from scanned_chats
        where
          rank <= (select rank from scanned_to)
          and top > ${title}
          and title collate "C" ~ ${pattern.text}
        union all
        select 'message', rank, position, id, role, parts::text, bytes
        from ${portable ? sql`read_messages` : sql`measured_messages`}
        where
          case when ${withinBytes} then
            parts::text collate "C" ~ ${pattern.json}
            and (parts::text !~ ${needlessEscape} or parts::text collate "C" ~ ${pattern.escapedJson})
          end
        order by rank, position desc
        limit ${limit}::bigint`,
      measured_hits: sql`select *, sum(bytes) over (order by rank, position desc) - bytes as sent_before from hits`,
      sent_hits: sql`select * from measured_hits where sent_before < ${limits.sentBytes}`,
      // The last hit that is sent, if there may be more.
      last_hit: sql`
        select rank, position
        from sent_hits
        where
          (select count(*) from hits) = ${limit}::bigint
          or exists (select from measured_hits where sent_before >= ${limits.sentBytes})
        order by rank desc, position
        limit 1`,
      // Where the next call goes on: after that hit, or else where the scan stopped, unless it has scanned everything.
      next: sql`
        select *, 'next' as kind, null as id, null as role, '' as parts
        from (
          table last_hit
          union all
          select *
          from scanned_to
          where
            not exists (table last_hit)
            and (position > 0 or rank = ${limits.chats} or rank < (select count(*) from page))
        ) next_place`,
      found: sql`
        table next
        union all
        select rank, position, kind, id, role, parts from sent_hits`,
    },
    columns: {
      kind: sql.identifier("kind"),
      role: sql.identifier("role"),
      parts: sql.identifier("parts"),
      id: sql`found.id`,
      rank: sql`rank::int`,
      order: sql`position::float8`,
      chat: sql`case lag(rank) over (order by rank, position desc) when rank then null else ${chatJson} end`,
    },
    from: sql`found join page chats using (rank)`,
  };
}

const needsScan = sql.raw('m."order" >= c.first and m."order" < c.top');

/** Sums up `bytes`. Only what takes few bytes in its compressed form is decompressed to be measured. */
const withBytesBefore = (sized: SQL) => sql`
  select *, sum(bytes) over (order by rank, position desc) - bytes as bytes_before
  from (${sized}) sized`;

const measure = (messages: Context["tables"]["messages"]) => ({
  scanned_messages: sql`
    select
      c.rank, c.id as chat_id, m.*,
      sum(compressed) over (order by c.rank, position desc) - compressed as compressed_before
    from scanned_chats c
    cross join lateral (
      select m.id, m."order" as position, m.role, m.parts, pg_column_size(m.parts) as compressed
      from ${messages} m
      where m.chat_id = c.id and ${needsScan}
      order by m."order" desc
      limit ${limits.messages}
    ) m`,
  measured_messages: withBytesBefore(sql`
    select
      *,
      case when compressed_before < ${limits.bytes} then octet_length(parts::text) else ${limits.bytes} end as bytes
    from scanned_messages`),
});

/**
 * The same without a limit in a lateral join, which shards do not have. Reads the content only of messages that are
 * scanned. Postgres does not know how many these are, and may run through one side of a join for each row of the other.
 * So each message is looked up by all that is known of it, and two lists of messages are never joined.
 */
const measureOnShards = (messages: Context["tables"]["messages"]) => ({
  message_keys: sql`
    select c.rank, m.chat_id, m.id, m."order" as position, m.role, pg_column_size(m.parts) as compressed
    from scanned_chats c
    join ${messages} m on m.chat_id = c.id
    where ${needsScan}`,
  scanned_messages: sql`
    select *, sum(compressed) over (order by rank, position desc) - compressed as compressed_before
    from message_keys`,
  sized_messages: sql`
    select s.*, octet_length(m.parts::text) as bytes
    from scanned_messages s
    join ${messages} m on ${isSameMessage}
    where compressed_before < ${limits.bytes}`,
  measured_messages: withBytesBefore(sql`
    table sized_messages
    union all
    select *, ${limits.bytes} as bytes from scanned_messages where compressed_before >= ${limits.bytes}`),
  read_messages: sql`
    select s.*, m.parts
    from measured_messages s
    join ${messages} m on ${isSameMessage}
    where bytes_before < ${limits.bytes}`,
});

const isSameMessage = sql.raw('m.chat_id = s.chat_id and m."order" = s.position and m.id = s.id');

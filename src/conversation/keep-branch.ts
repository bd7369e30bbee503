import { randomUUID } from "node:crypto";
import type { SQL } from "drizzle-orm";
import { sql } from "../database/sql.ts";
import type { ChatTables } from "../schema.ts";
import { isOneOf } from "./diff-statements.ts";

/** A message has at most so many branches behind it. */
const maxBranches = 50;

/** Messages that leave the conversation, or become others. */
export interface ReplacedMessages {
  ids: readonly string[];
  /** The id of the message behind which they stand. Where it was not loaded: the order of the first of them. */
  behind: string | { order: number };
}

/**
 * The statements that keep messages as a branch, before others replace them. The branches behind them go along. If the
 * message before them has too many branches, the oldest is deleted, and the branches behind its messages.
 *
 * They belong to a write of the chat's row, so that no other writer changes the conversation or its branches meanwhile.
 *
 * @param replaced - with `first`, the order of the first of them.
 */
export function keepBranch(
  tables: ChatTables,
  chatId: string,
  replaced: ReplacedMessages & { first: number },
  when: SQL,
): SQL[] {
  const { branches, messages } = tables;
  const { ids, behind, first } = replaced;
  const id = randomUUID();
  const afterId =
    typeof behind === "string"
      ? sql`${behind}::text`
      : sql`
        (
          select m.id
          from ${messages} m
          where m.chat_id = ${chatId} and m."order" < ${behind.order}::int
          order by m."order" desc
          limit 1
        )`;
  return [
    insertBranch(
      tables,
      { chatId, id, afterId, isKept: sql`m."order" >= ${first}::int and ${isOneOf(sql`m.id`, ids)}` },
      when,
    ),
    sql`
      update ${branches} b
      set parent = ${id}::uuid
      where b.chat_id = ${chatId} and b.parent is null and ${isOneOf(sql`b.after_id`, ids)} and ${when}`,
    // The new one is left out, because in portable mode this statement sees it.
    sql`
      delete from ${branches} b
      where
        b.chat_id = ${chatId}
        and b.id in (
          select s.id
          from ${siblings(branches, chatId, afterId)} and s.id <> ${id}::uuid
          order by s.created_at desc, s.position desc
          offset ${maxBranches - 1}
        )
        and ${when}`,
  ];
}

/** What stood behind messages that are deleted goes with them. `isBehind`: a condition on the branch `b`. */
export const deleteBranches = ({ branches }: ChatTables, chatId: string, isBehind: SQL, when: SQL): SQL => sql`
  delete from ${branches} b
  where b.chat_id = ${chatId} and b.parent is null and ${isBehind} and ${when}`;

/** What stood behind a message stands behind another one, which has taken its place. */
export const moveBranches = (
  { branches }: ChatTables,
  chatId: string,
  successor: { of: string; id: string },
  when: SQL,
): SQL => sql`
  update ${branches} b
  set after_id = ${successor.id}::text
  where b.chat_id = ${chatId} and b.parent is null and b.after_id = ${successor.of}::text and ${when}`;

/**
 * The order of the message behind which the branch `b` stands. A subquery with one value: Postgres looks the message up,
 * also where it knows nothing of the lengths of chats, and would otherwise compare each branch with each message.
 */
export const orderBefore = ({ messages }: ChatTables, chatId: string): SQL => sql`
  (select m."order" from ${messages} m where m.chat_id = ${chatId} and m.id = b.after_id)`;

interface NewBranch {
  chatId: string;
  id: string;
  afterId: SQL;
  /** Which messages `m` of the chat. */
  isKept: SQL;
}

/** Inserts messages of the conversation as a branch, with the number that they have as the current alternative. */
export const insertBranch = (
  { branches, messages }: ChatTables,
  { chatId, id, afterId, isKept }: NewBranch,
  when: SQL,
): SQL => sql`
  insert into ${branches} (chat_id, id, after_id, position, message_count, messages)
  select
    ${chatId}, ${id}::uuid, place.after_id, ${smallestFreePosition(branches, chatId)}, kept.message_count, kept.messages
  from (select ${afterId} as after_id) place, (
    select
      count(*)::int as message_count,
      coalesce(
        json_agg(
          json_build_array(m.id, m.role, m.parts::text, m.metadata::text, extract(epoch from m.created_at)::text)
          order by m."order"
        ),
        '[]'
      ) as messages
    from ${messages} m
    where m.chat_id = ${chatId} and ${isKept}
  ) kept
  where ${when}`;

/** The alternatives behind a message of the conversation, but for the current one. */
const siblings = (branches: ChatTables["branches"], chatId: string, afterId: SQL) => sql`
  ${branches} s where s.chat_id = ${chatId} and s.parent is null and s.after_id is not distinct from ${afterId}`;

/** Of the alternatives behind the message of `place`. */
function smallestFreePosition(branches: ChatTables["branches"], chatId: string): SQL {
  const others = siblings(branches, chatId, sql`place.after_id`);
  return sql`
    (
      select min(free.position)
      from generate_series(1, (select count(*)::int + 1 from ${others})) free (position)
      where free.position not in (select s.position from ${others})
    )`;
}

import { hash } from "node:crypto";
import { sql } from "drizzle-orm";
import { ChatConflictError, ChatOwnershipError } from "./errors.ts";
import type { MessageRow, Save } from "./messages.ts";
import { type ChatTables, ownedBy } from "./schema.ts";
import type { Chat, ChatDatabase } from "./types.ts";

/**
 * Saves a chat whose first messages are stored already, in one statement that carries only the last `length` of them and
 * one digest over all before.
 *
 * @returns no `chat` if nothing was done: what is stored before the tail differs, or another writer came in between.
 * `total` is the number of messages that the statement saw.
 * @throws {ChatOwnershipError}
 * @throws {ChatConflictError}
 *
 * Why it is safe beside other writers: whoever changes messages updates their chat's row in the same transaction. All
 * parts of this statement see the snapshot taken at its start, and `updated` matches only if the row it then locks still
 * has the row version (`xmin`) of that snapshot. So once it has matched, the messages of the snapshot are the current
 * ones until commit. If the snapshot saw no chat, `created` either inserts it, and then it has no messages, or does
 * nothing. `dropped` and `written` act only after one of the two. Weaker guards tear conversations apart: a version
 * column, for one, does not see a chat that was deleted and created again while this statement waited.
 *
 * Whose chat it is, `cur` decides, once; the row version that it decided about is the one that `updated` insists on.
 *
 * | part | what it holds |
 * | --- | --- |
 * | args | what is saved: `given` is the title or null, `start` the order of the tail's first message |
 * | tail | the messages that the statement carries |
 * | cur | the chat as the snapshot sees it, and whether it is `owned` by this user |
 * | stored | the `total` of its messages, and whether those before the tail are as expected (`ok`) |
 * | changed | ids of the tail's messages that are not stored just so |
 * | state | all of this in one row, and whether everything is the `same` already |
 * | updated, created, saved | the chat's row after the save, if it happened |
 * | dropped, written | the messages' side of it |
 */
export async function saveTail(
  db: ChatDatabase,
  { chats, messages }: ChatTables,
  { userId, chatId, title, expectedVersion, rows }: Save,
  length: number,
): Promise<{ chat: Chat | undefined; total: number }> {
  const start = rows.length - length;
  const tail = rows
    .slice(start)
    // No json parameters: a driver that is told of one would serialise the text once more.
    .map(
      (row, index) =>
        sql`(${start + index}::int,${row.id},${row.role},${row.parts},${row.metadata},decode(${row.digest},'base64'))`,
    );

  // Without prepared-statement names (poolers) this text travels with every save, hence its terseness.
  const result: unknown = await db.execute(sql`with args (chat, owner, given, expected, start) as (
values (${chatId}, ${userId}, ${title ?? null}, ${expectedVersion ?? null}::int, ${start}::int)
), tail (o, id, role, parts, metadata, digest) as not materialized (
${length > 0 ? sql`values ${sql.join(tail, sql`,`)}` : sql`select 0, null, null, null, null, ''::bytea where false`}
), cur as (
select chats.*, xmin v, ${ownedBy(chats, sql`owner`)} owned from ${chats}, args where id = chat
), stored as (
select count(*) total, sha256(coalesce(string_agg(int4send("order") || digest, '' order by "order") filter (where "order" < start), '')) = decode(${prefixDigest(rows.slice(0, start))}, 'base64') ok
from ${messages}, cur, args where chat_id = cur.id and owned
), changed as (
select t.id from tail t left join cur c on owned left join ${messages} m on chat_id = c.id and m.id = t.id
where ("order", m.digest) is distinct from (o, t.digest)
), state as (
select *, ok and total = ${rows.length} and owned and title = coalesce(given, title) and not exists (table changed) same
from stored, args left join cur on true
), updated as (
update ${chats} c set title = coalesce(given, c.title), version = c.version + 1, updated_at = greatest(c.updated_at, now())
from state where c.id = chat and c.xmin = v and owned and ok and not same and c.version = coalesce(expected, c.version)
returning c.*
), created as (
insert into ${chats} (id, user_id, title) select chat, owner, coalesce(given, '') from state where ok and v is null and coalesce(expected, 0) = 0
on conflict do nothing returning *
), saved as (
table updated union all table created
), dropped as (
delete from ${messages} using args where chat_id = chat and "order" >= start and exists (table saved) and id not in (select id from tail)
), written as (
insert into ${messages} (chat_id, id, "order", role, parts, metadata)
select chat, id, o, role, parts::json, metadata::json from tail, args where id in (table changed) and exists (table saved)
on conflict (chat_id, id) do update set "order" = excluded."order", role = excluded.role, parts = excluded.parts, metadata = excluded.metadata
)
select case when s is not null or same then 'done' when not owned then 'forbidden'
when c.version is distinct from coalesce(expected, c.version) then 'conflict' end outcome, total, coalesce(to_json(s), to_json(c)) chat
from state c left join saved s on true`);
  const { outcome, total, chat } = onlyRow<Verdict>(result);
  if (outcome === "forbidden") throw new ChatOwnershipError({ chatId });
  if (outcome === "conflict" && expectedVersion !== undefined) {
    throw new ChatConflictError({ chatId, expectedVersion, actualVersion: chat?.version ?? null });
  }
  if (!chat || !outcome) return { chat: undefined, total: Number(total) };
  const { id, version, created_at, updated_at } = chat;
  return {
    chat: { id, userId, title: chat.title, version, createdAt: new Date(created_at), updatedAt: new Date(updated_at) },
    total: Number(total),
  };
}

interface Verdict {
  outcome: "done" | "forbidden" | "conflict" | null;
  /** A bigint, which some drivers give as text. */
  total: number | string;
  chat: { id: string; title: string; version: number; created_at: string; updated_at: string } | null;
}

/** `execute` gives what the driver gives: an array with postgres.js, an object that has one with the others. */
const onlyRow = <Row>(result: unknown) =>
  (Array.isArray(result) ? result : (result as { rows: unknown[] }).rows)[0] as Row;

/** What `stored.ok` compares with: one digest over the order and digest of each message before the tail. */
function prefixDigest(rows: readonly MessageRow[]): string {
  const bytes = Buffer.alloc(rows.length * 20);
  rows.forEach((row, order) => {
    bytes.writeInt32BE(order, order * 20);
    bytes.write(row.digest, order * 20 + 4, "base64");
  });
  return hash("sha256", bytes, "base64");
}

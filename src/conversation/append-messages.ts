import { sql } from "drizzle-orm";
import { execute } from "../database/execute.ts";
import { type ChatTables, ownedBy } from "../schema.ts";
import type { Chat, ChatDatabase } from "../types.ts";
import { chatRow, parseChat } from "./chat-row.ts";
import { prefixDigests, type Save } from "./messages.ts";

/**
 * Adds what is missing to the end of a chat, in one statement that carries the last `length` messages, and for each of them
 * one digest over all before it. They are the ones that may be missing; the chat must hold the others, and nothing else.
 *
 * @returns no `chat` if nothing was done, for whatever reason. `total` is the number of messages that the statement saw:
 * 0 if there is no such chat of this user.
 *
 * Safe beside other writers for the reason given at `saveTail`: `updated` matches only the row version of the snapshot.
 * Less than `saveTail` can do, and for that Postgres parses and plans it in a fraction of the time.
 */
export async function appendMessages(
  db: ChatDatabase,
  { chats, messages }: ChatTables,
  { userId, chatId, title, expectedVersion, rows }: Save,
  length: number,
): Promise<{ chat: Chat | undefined; total: number }> {
  const start = rows.length - length;
  const prefixes = prefixDigests(rows, start);
  const added = rows.slice(start).map((row, index) => ({ ...row, order: start + index }));
  const fits = added.map(({ order }, index) => sql`(${order}::int,decode(${prefixes[index]},'hex'))`);
  const values = added.map((row) => sql`(${row.order}::int,${row.id},${row.role},${row.parts},${row.metadata})`);

  const [result] = await execute<{ total: number; chat: string | null }>(
    db,
    sql`with cur as (
select chats.id, chats.xmin v from ${chats} where chats.id = ${chatId} and ${ownedBy(chats, userId)}
), stored as (
select count(*)::int total, sha256(coalesce(string_agg(int4send(m."order") || m.digest, '' order by m."order"), '')) prefix
from ${messages} m where m.chat_id = (select id from cur)
), updated as (
update ${chats} set title = coalesce(${title ?? null}, chats.title), version = chats.version + 1, updated_at = greatest(chats.updated_at, now())
where chats.id = $1 and chats.xmin = (select v from cur, stored where (total, prefix) in (${sql.join(fits, sql`,`)}))
and chats.version = coalesce(${expectedVersion ?? null}::int, chats.version)
returning ${chatRow} chat
), written as (
insert into ${messages} (chat_id, id, "order", role, parts, metadata)
select $1, a.id, a.o, a.role, a.parts::json, a.metadata::json
from updated, stored, (values ${sql.join(values, sql`,`)}) a (o, id, role, parts, metadata) where a.o >= total
)
select total, chat from stored left join updated on true`,
  );
  return { chat: result?.chat ? parseChat(result.chat) : undefined, total: result?.total ?? 0 };
}

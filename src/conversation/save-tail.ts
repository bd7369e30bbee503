import { sql } from "drizzle-orm";
import { execute } from "../database/execute.ts";
import { ChatOwnershipError, versionConflict } from "../errors.ts";
import { type ChatTables, ownedBy } from "../schema.ts";
import type { Chat, ChatDatabase } from "../types.ts";
import { chatRow, parseChat } from "./chat-row.ts";
import { type MessageRow, prefixDigests, type Save } from "./messages.ts";

/**
 * Saves a chat whose first messages are stored already, whatever the end that is there now, in one statement that carries
 * only the last `length` of them and one digest over all before. Creates the chat if `length` is all of them.
 *
 * @returns undefined if nothing was done: what is stored before the tail differs, or another writer came in between.
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
 * | args | never read: it names the parameters, once, in the order in which Drizzle then numbers them ($1, $2, …) |
 * | tail | the messages that the statement carries |
 * | cur | the chat as the snapshot sees it, and whether it is `owned` by this user |
 * | stored | the `total` of its messages, how many are the tail's and `kept` as they are, and whether those before are `ok` |
 * | state | cur and stored in one row, and whether everything is the `same` already |
 * | updated, created, saved | the chat's row after the save, if it happened |
 * | dropped, written | the messages' side of it |
 */
export async function saveTail(
  db: ChatDatabase,
  { chats, messages }: ChatTables,
  { userId, chatId, title, expectedVersion, rows }: Save,
  length: number,
): Promise<Chat | undefined> {
  const start = rows.length - length;
  // Where messages are expected before the tail, there is a chat or the tail does not fit.
  const mayCreate = start === 0;
  const isPrefix = mayCreate
    ? sql`true`
    : sql`sha256(coalesce(string_agg(int4send(m."order") || m.digest, '' order by m."order") filter (where m."order" < $5), '')) =
decode(${prefixDigests(rows.slice(0, start), start)[0]}, 'hex')`;

  // Without prepared-statement names (poolers) this text is sent, parsed and planned with every save. Hence its terseness.
  const [verdict] = await execute<Verdict>(db, {
    with: {
      args: sql`select ${chatId}::text, ${userId}::text, ${title ?? null}::text, ${expectedVersion ?? null}::int, ${start}::int, ${rows.length}::int`,
      tail: tailOf(rows.slice(start), start),
      cur: sql`select chats.id, chats.title, chats.version, chats.xmin v, ${ownedBy(chats, sql`$2`)} owned, ${chatRow} chat from ${chats} where chats.id = $1`,
      stored: sql`select count(*) total, count(*) filter (where (m.id, m."order", m.digest) in (select id, o, digest from tail)) kept, ${isPrefix} ok
from ${messages} m where m.chat_id = (select id from cur where owned)`,
      state: sql`select cur.*, ok, owned and ok and total = $6 and kept = $6 - $5 and title = coalesce($3, title) same from stored left join cur on true`,
      updated: sql`update ${chats} set title = coalesce($3, chats.title), version = chats.version + 1, updated_at = greatest(chats.updated_at, now())
where chats.id = $1 and chats.xmin = (select v from state where owned and ok and not same) and chats.version = coalesce($4, chats.version)
returning ${chatRow} chat`,
      ...(mayCreate && {
        created: sql`insert into ${chats} (id, user_id, title) select $1, $2, coalesce($3, '') from state where v is null and coalesce($4, 0) = 0
on conflict (id) do nothing returning ${chatRow} chat`,
      }),
      saved: sql`table updated${mayCreate ? sql` union all table created` : sql``}`,
      dropped: sql`delete from ${messages} m where m.chat_id = $1 and m."order" >= $5 and exists (table saved) and m.id not in (select id from tail)`,
      written: sql`insert into ${messages} as m (chat_id, id, "order", role, parts, metadata)
select $1, id, o, role, parts::json, metadata::json from tail where exists (table saved)
on conflict (chat_id, id) do update set "order" = excluded."order", role = excluded.role, parts = excluded.parts, metadata = excluded.metadata
where (m."order", m.digest) is distinct from (excluded."order", excluded.digest)`,
    },
    select: {
      outcome: sql`case when s.chat is not null or same then 'done' when not owned then 'forbidden'
when c.version is distinct from coalesce($4, c.version) then 'conflict' end`,
      chat: sql`coalesce(s.chat, case when owned then c.chat end)`,
    },
    from: sql`state c left join saved s on true`,
  });
  const chat = verdict?.chat ? parseChat(verdict.chat) : undefined;
  if (verdict?.outcome === "forbidden") throw new ChatOwnershipError({ chatId });
  if (verdict?.outcome === "conflict" && expectedVersion !== undefined) {
    throw versionConflict({ chatId, expectedVersion, actualVersion: chat?.version ?? null });
  }
  return verdict?.outcome === "done" ? chat : undefined;
}

/** The rows of the tail. No json parameters: a driver that is told of one would serialise the text once more. */
function tailOf(rows: readonly MessageRow[], start: number) {
  const columns = sql.raw("o, id, role, parts, metadata, digest");
  if (rows.length === 0) return sql`select * from (values (0, '', '', '', '', ''::bytea)) t (${columns}) where false`;
  // A statement takes at most 65,535 parameters.
  if (rows.length > 1_000) {
    const all = JSON.stringify(rows.map((row, index) => ({ ...row, o: start + index })));
    return sql`select o, id, role, parts, metadata, decode(digest, 'hex') digest from json_to_recordset(${all}::text::json)
as x (o int, id text, role text, parts text, metadata text, digest text)`;
  }
  const values = rows.map(
    (row, index) =>
      sql`(${start + index}::int,${row.id},${row.role},${row.parts},${row.metadata},decode(${row.digest},'hex'))`,
  );
  return sql`select * from (values ${sql.join(values, sql`,`)}) t (${columns})`;
}

interface Verdict {
  outcome: "done" | "forbidden" | "conflict" | null;
  chat: string | null;
}

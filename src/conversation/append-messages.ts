import { sql } from "drizzle-orm";
import { execute } from "../database/execute.ts";
import { columnsNamed } from "../database/statement.ts";
import { type ChatTables, ownedBy } from "../schema.ts";
import type { Chat, ChatDatabase } from "../types.ts";
import { chatRow, parseChat } from "./chat-row.ts";
import { prefixDigests, type Save } from "./messages.ts";
import { insertable } from "./save-difference.ts";

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
  const { columns, source } = insertable(added);
  const newTitle = title === undefined ? sql`` : sql`title = ${title}, `;
  const asExpected = expectedVersion === undefined ? sql`` : sql` and chats.version = ${expectedVersion}::int`;

  const [result] = await execute<{ total: number; chat: string | null }>(db, {
    with: {
      cur: sql`select chats.id, chats.xmin v from ${chats} where chats.id = ${chatId} and ${ownedBy(chats, userId)}`,
      stored: sql`select count(*)::int total, sha256(coalesce(string_agg(int4send(m."order") || m.digest, '' order by m."order"), '')) prefix
from ${messages} m where m.chat_id = (select id from cur)`,
      updated: sql`update ${chats} set ${newTitle}version = chats.version + 1, updated_at = greatest(chats.updated_at, now())
where chats.id = $1 and chats.xmin = (select v from cur, stored where (total, prefix) in (${sql.join(fits, sql`,`)}))${asExpected}
returning ${chatRow} chat`,
      written: sql`insert into ${messages} (chat_id, id, "order", role, parts, metadata)
select $1, ${columns} from updated${source && sql`, stored, ${source} where a.o >= total`}`,
    },
    select: columnsNamed("total", "chat"),
    from: sql`stored left join updated on true`,
  });
  return { chat: result?.chat ? parseChat(result.chat) : undefined, total: result?.total ?? 0 };
}

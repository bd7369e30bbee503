import { sql } from "drizzle-orm";
import { chatRow, parseChat } from "../conversation/chat-row.ts";
import { execute } from "../database/execute.ts";
import { asUser } from "../database/row-level-security.ts";
import { columnsNamed } from "../database/statement.ts";
import { InvalidChatError } from "../errors.ts";
import { parseInput, searchChatsInput } from "../input.ts";
import { type ChatTables, ownedBy } from "../schema.ts";
import type { ChatDatabase, ChatMatch, ChatMatches, SearchChatsInput, StoreSettings } from "../types.ts";
import { excerptOf } from "./excerpt.ts";
import { patternOf, type SearchPattern } from "./search-pattern.ts";

/** How much one call looks at: chats, messages, and bytes of these as they are stored, which may be compressed. */
const most = { chats: 500, messages: 5_000, bytes: 8_000_000 };

/** How far a search has come: a chat of which the title and the messages from this `"order"` on have been looked at. */
interface Place {
  chatId: string;
  /** Milliseconds. */
  updatedAt: number;
  order: number;
}
/** In place of an order: the title has been looked at, and nothing else. */
const beforeMessages = 2 ** 31;

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
  const { userId, query, limit = 20, before } = parseInput(searchChatsInput, input);
  const from = before === undefined ? undefined : parsePlace(before);
  const pattern = patternOf(query);
  const statement = walk(tables, userId, { pattern, limit, from }, settings);
  const rows = await asUser(db, { userId }, settings, (db) => execute<Found>(db, statement));

  // What the statement has found is a little more than what counts.
  const found = rows.filter(({ kind }) => kind !== "end").sort((a, b) => a.rank - b.rank || b.order - a.order);
  const matches = found.flatMap(({ kind, chat: row, id, role, parts }): ChatMatch[] => {
    const chat = parseChat(row);
    const texts = kind === "title" ? [chat.title] : textsIn(parts);
    const excerpt = texts.map((text) => excerptOf(text, pattern.regExp)).find((excerpt) => excerpt !== undefined);
    return excerpt ? [{ chat, messageId: id, role, excerpt }] : [];
  });
  const end = found.length < limit ? rows.find(({ kind }) => kind === "end") : found.at(-1);
  return { matches, before: end ? placeAt(end) : null };
}

interface Found {
  /** `end` is where the statement has stopped looking, if it has not looked at everything. */
  kind: "title" | "message" | "end";
  rank: number;
  chat: string;
  order: number;
  id: string | null;
  role: string | null;
  parts: string;
}

function walk(
  { chats, messages }: ChatTables,
  userId: string,
  { pattern, limit, from }: { pattern: SearchPattern; limit: number; from: Place | undefined },
  { portable }: StoreSettings,
) {
  const [fromPlace, isNewChat, isNewMessage] = from
    ? [
        sql` and (chats.updated_at, chats.id) <= (${new Date(from.updatedAt).toISOString()}::timestamptz, ${from.chatId}::text)`,
        sql`page.id <> ${from.chatId}`,
        sql`(page.id <> ${from.chatId} or m."order" < ${from.order}::bigint)`,
      ]
    : [sql``, sql`true`, sql`true`];
  const fits = sql`before < ${most.bytes}::bigint`;
  const walked = {
    walked: sql`select m.*, sum(size) over (order by m.rank, o desc) - size before from page cross join lateral (
select page.rank, m.id, m."order" o, m.role, m.parts, pg_column_size(m.parts) size from ${messages} m
where m.chat_id = page.id and ${isNewMessage} order by m."order" desc limit ${most.messages}::int
) m order by m.rank, o desc limit ${most.messages}::int`,
  };
  // Shards know no lateral limit: each sorts all keys that it has of these chats, and only of the first ones reads what they say.
  const walkedOverShards = {
    keys: sql`select page.rank, m.chat_id, m.id, m."order" o, m.role, pg_column_size(m.parts) size from page join ${messages} m on m.chat_id = page.id
where ${isNewMessage} order by page.rank, m."order" desc limit ${most.messages}::int`,
    walked: sql`select keys.*, sum(size) over (order by rank, o desc) - size before from keys`,
    read: sql`select w.rank, w.o, w.id, w.role, w.before, m.parts from walked w join ${messages} m on m.chat_id = w.chat_id and m.id = w.id where ${fits}`,
  };
  return {
    with: {
      page: sql`select row_number() over (order by chats.updated_at desc, chats.id desc) rank, chats.id, chats.title, ${chatRow} chat
from ${chats} where ${ownedBy(chats, userId)}${fromPlace} order by chats.updated_at desc, chats.id desc limit ${most.chats}::int`,
      ...(portable ? walkedOverShards : walked),
      cut: sql`select rank, o from walked where ${fits} and ((select count(*) from walked) = ${most.messages}::int or exists (select from walked where not ${fits}))
order by rank desc, o limit 1`,
      place: sql`table cut union all select ${most.chats}::int, 0 where not exists (table cut)`,
      found: sql`select 'title' kind, rank, ${beforeMessages}::bigint o, null id, null role, '' parts
from page where rank <= (select rank from place) and ${isNewChat} and title collate "C" ~ ${pattern.text}
union all
select 'message', rank, o, id, role, parts::text
from ${portable ? sql`read` : sql`walked`} where case when ${fits} then parts::text collate "C" ~ ${pattern.json} end
order by rank, o desc limit ${limit}::bigint`,
      shown: sql`select kind, rank::int, chat, o::float8 "order", found.id, role, parts from found join page using (rank)
union all
select 'end', rank::int, chat, o, null, null, '' from place join page using (rank)`,
    },
    select: columnsNamed("kind", "rank", "chat", "order", "id", "role", "parts"),
    from: sql`shown`,
  };
}

/** Of the parts of a message, those that are text. */
function textsIn(parts: string): string[] {
  const all: ({ type?: unknown; text?: unknown } | null)[] = JSON.parse(parts);
  // Others may have written anything.
  if (!Array.isArray(all)) return [];
  return all.flatMap((part) => (part?.type === "text" && typeof part.text === "string" ? [part.text] : []));
}

function placeAt({ chat, order }: Found): string {
  const { id, updatedAt } = parseChat(chat);
  return Buffer.from(JSON.stringify([id, updatedAt.getTime(), order])).toString("base64url");
}

function parsePlace(text: string): Place {
  try {
    const [chatId, updatedAt, order] = JSON.parse(Buffer.from(text, "base64url").toString());
    const isText = typeof chatId === "string" && chatId.isWellFormed() && !chatId.includes("\0");
    const isPlace = isText && Number.isSafeInteger(order);
    // Dates that Postgres cannot read have another form.
    if (isPlace && /^\d{4}-/.test(new Date(updatedAt).toISOString())) return { chatId, updatedAt, order };
  } catch {
    // Not what any call has given.
  }
  throw new InvalidChatError([
    { path: ["before"], message: "expected what the previous call gave as before, unchanged" },
  ]);
}

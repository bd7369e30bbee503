import { sql } from "drizzle-orm";
import { execute } from "../database/execute.ts";
import { type Asker, type ChatTables, ownedByAsker } from "../schema.ts";
import type { ChatDatabase } from "../types.ts";
import { chatRow, milliseconds, parseChat } from "./chat-row.ts";
import { loadedColumns, marksOfTurns, type StoredChat, type StoredMessage, turnsIn } from "./load-chat.ts";

/** Which messages of a chat are wanted. */
export interface Window {
  /** The last so many. */
  limit: number;
  /** An id: only messages before this one. */
  before?: string | undefined;
  /**
   * An id: only messages up to and including this one, and of those after it what does not tell what they say. If there is no such
   * message, the last ones of the chat.
   */
  through?: string | undefined;
  /** Which of these ids are those of messages up to and including `through`? */
  candidates?: readonly string[] | undefined;
  forTurn?: boolean | undefined;
  /** Whether to say of each message when it was first stored. */
  withTimes?: boolean | undefined;
}

export interface ChatWindow extends StoredChat {
  /** Whether there are messages before the first. */
  hasMore: boolean;
  /** Whether there is the message that the window is said to end at. */
  isFound: boolean;
  /** Those of the `candidates` that are. */
  taken: string[];
  /** Of each of the rows, `withTimes`. */
  sentAt: Date[];
}

/**
 * The end of a chat of this user, or what comes before or up to a message of it, at a price that does not depend on how long the chat
 * is: the index on the order of messages finds them, and only what is given is read.
 */
export async function loadWindow(
  db: ChatDatabase,
  { chats, messages, turns }: ChatTables,
  { chatId, ...asker }: Asker & { chatId: string },
  { limit, before, through, candidates = [], forTurn = false, withTimes = false }: Window,
): Promise<ChatWindow | null> {
  const edge = before ?? through ?? null;
  const inWindow =
    before === undefined
      ? sql`m."order" <= coalesce((select o from edge), 2147483647)`
      : sql`m."order" < (select o from edge)`;

  const loaded = await execute<StoredMessage & { kind: 0 | 1 | 2 | 3 | 4; sentAt?: string }>(db, {
    with: {
      chat: sql`select ${chatRow} chat, chats.xmin::text v from ${chats} where chats.id = ${chatId} and ${ownedByAsker(chats, asker)}`,
      edge: sql`select m."order" o from ${messages} m where m.chat_id = ${chatId} and m.id = ${edge}::text and exists (table chat)`,
      shown: sql`select m.id, m.role, m.parts, m.metadata, m."order"${withTimes ? sql`, m.created_at` : sql``} from ${messages} m
where m.chat_id = ${chatId} and exists (table chat) and ${inWindow} order by m."order" desc limit ${limit}::bigint`,
      loaded: sql`select 0 kind, case when exists (table edge) then '' end id, null role, chat parts, null metadata,
(exists (select from ${messages} m where m.chat_id = ${chatId} and m."order" < (select min(shown."order") from shown)))::int "order", v digest from chat
union all
select 1, id, role, parts::text, metadata::text, "order", '' from shown${
        through === undefined
          ? sql``
          : sql`
union all
select 3, m.id, m.role, '', null, m."order", encode(m.digest, 'hex') from ${messages} m where m.chat_id = ${chatId} and m."order" > (select o from edge)`
      }${
        candidates.length === 0
          ? sql``
          : sql`
union all
select 4, m.id, null, null, null, 0, null from ${messages} m where m.chat_id = ${chatId} and m."order" <= (select o from edge)
and m.id in (select json_array_elements_text(${JSON.stringify(candidates)}::text::json))`
      }${forTurn ? marksOfTurns(turns, chatId) : sql``}`,
    },
    select: {
      ...loadedColumns,
      ...(withTimes && { sentAt: sql`(${sql.raw(milliseconds("created_at", "times"))})::text` }),
    },
    from: withTimes
      ? sql`loaded left join (select id message_id, created_at from shown) times on kind = 1 and message_id = id`
      : sql`loaded`,
  });
  const [chat] = loaded.filter(({ kind }) => kind === 0);
  if (!chat) return null;
  const rows = loaded.filter(({ kind }) => kind === 1 || kind === 3).sort((a, b) => a.order - b.order);
  return {
    chat: parseChat(chat.parts),
    rowVersion: chat.digest,
    rows,
    firstOrder: rows[0]?.order ?? 0,
    ...turnsIn(loaded),
    hasMore: chat.order === 1,
    isFound: chat.id !== null,
    taken: loaded.filter(({ kind }) => kind === 4).map(({ id }) => id),
    sentAt: withTimes ? rows.map(({ sentAt }) => new Date(Number(sentAt))) : [],
  };
}

/** The last `limit` messages, from the first one of the user on if one is among them: not every model accepts another beginning. */
export function lastOf<Row extends { role: string }>(rows: readonly Row[], limit: number): readonly Row[] {
  const last = rows.slice(-limit);
  const start = last.findIndex(({ role }) => role === "user");
  return last.slice(Math.max(start, 0));
}

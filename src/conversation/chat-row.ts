import { type SQL, sql } from "drizzle-orm";
import type { Chat, StoreSettings } from "../types.ts";

/** Dates as milliseconds, because how a session writes dates is a setting. */
export const milliseconds = (column: string, table = "chats") => `extract(epoch from ${table}.${column})*1000`;
/** The same of an interval, which no setting concerns, so that it is immutable. */
const immutableMilliseconds = (column: string) => `extract(epoch from chats.${column} - timestamptz 'epoch') * 1000`;
const dates = ["created_at", "updated_at", "archived_at"];

/**
 * A row of `chats` as one text, for statements that name the table without an alias. Columns are listed: an application may
 * have added some of its own, under any name, and they shall neither travel nor meet ours.
 */
export const chatRow: SQL<string> = sql.raw(
  `json_build_array(chats.id,chats.user_id,chats.title,chats.version,${dates.map((column) => milliseconds(column))},chats.metadata::text)::text`,
) as SQL<string>;

const immutableChatRow: SQL<string> = sql.raw(
  "json_object('{a,b,c,d,e,f,g,h}', array[chats.id, chats.user_id, chats.title, chats.version::text, " +
    `${dates.map((column) => `(${immutableMilliseconds(column)})::text`).join(", ")}, chats.metadata::text])::text`,
) as SQL<string>;

/**
 * The same for what a change returns. Citus lets a change return only what is immutable, which takes a little longer. That it refuses all
 * else, before it has done anything, is how a store learns that it has to be portable.
 */
export const returnedChatRow = ({ portable }: StoreSettings): SQL<string> => (portable ? immutableChatRow : chatRow);

/** Of the chat's row `updatedAt` alone, likewise. */
export const returnedUpdatedAt = ({ portable }: StoreSettings): SQL<string> =>
  sql.raw(`(${(portable ? immutableMilliseconds : milliseconds)("updated_at")})::text`) as SQL<string>;

/** What any of these rows has written. */
export function parseChat(row: string): Chat {
  // An array, or an object of the same values as texts.
  const values = Object.values(JSON.parse(row)) as Values;
  const [id, userId, title, version, createdAt, updatedAt, archivedAt, json] = values;
  const metadata: unknown = json === null ? null : JSON.parse(json);
  return {
    id,
    userId,
    title,
    version: Number(version),
    createdAt: new Date(Number(createdAt)),
    updatedAt: new Date(Number(updatedAt)),
    archivedAt: archivedAt === null ? null : new Date(Number(archivedAt)),
    ...(metadata === null ? undefined : { metadata }),
  };
}

type Values = [
  id: string,
  userId: string,
  title: string,
  version: number | string,
  createdAt: number | string,
  updatedAt: number | string,
  archivedAt: number | string | null,
  metadata: string | null,
];

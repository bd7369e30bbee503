import type { SQL } from "drizzle-orm";
import type { StoreSettings } from "../database/context.ts";
import { sql } from "../database/sql.ts";
import type { Chat } from "../types.ts";

/** Dates travel as milliseconds, because a session's settings decide how Postgres writes a date. */
const milliseconds = (column: string) => `extract(epoch from chats.${column})*1000`;
/** The same in an immutable expression: settings do not apply to an interval. */
const immutableMilliseconds = (column: string) => `extract(epoch from chats.${column} - timestamptz 'epoch') * 1000`;
const dates = ["created_at", "updated_at", "archived_at"];

/**
 * A row of `chats` as one JSON text, for statements that name the table without an alias. Lists its columns, because
 * applications may add their own: those must not be sent, and must not clash with the store's.
 */
export const chatJson = sql.raw(
  "json_build_array(chats.id,chats.user_id,chats.title,chats.version," +
    `${dates.map(milliseconds)},chats.metadata::text)::text`,
) as SQL<string>;

const immutableChatJson = sql.raw(
  "json_object('{a,b,c,d,e,f,g,h}', array[chats.id, chats.user_id, chats.title, chats.version::text, " +
    `${dates.map((column) => `(${immutableMilliseconds(column)})::text`).join(", ")}, chats.metadata::text])::text`,
) as SQL<string>;

/**
 * The row that a change returns. Citus allows only immutable expressions there, which take a little longer. Its refusal
 * of the other expression, before it has changed anything, is how a store finds out that it needs portable mode.
 */
export const returnedChatJson = ({ portable }: StoreSettings): SQL<string> => (portable ? immutableChatJson : chatJson);

/** The milliseconds of `updated_at` alone, likewise. */
export const returnedUpdatedAt = ({ portable }: StoreSettings): SQL<string> =>
  sql.raw(`(${(portable ? immutableMilliseconds : milliseconds)("updated_at")})::text`) as SQL<string>;

/** Parses the text of any of the expressions above. */
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

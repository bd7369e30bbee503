import { type SQL, sql } from "drizzle-orm";
import type { Chat } from "../types.ts";

/**
 * A row of `chats` as one text, for statements that name the table without an alias. Columns are listed: an application may
 * have added some of its own, under any name, and they shall neither travel nor meet ours. Dates as milliseconds, because how
 * a session writes dates is a setting.
 */
export const chatRow: SQL<string> = sql.raw(
  "json_build_array(chats.id,chats.user_id,chats.title,chats.version," +
    "extract(epoch from chats.created_at)*1000,extract(epoch from chats.updated_at)*1000," +
    "extract(epoch from chats.archived_at)*1000,chats.metadata)::text",
) as SQL<string>;

/** What {@link chatRow} has written. */
export function parseChat(row: string): Chat {
  const [id, userId, title, version, createdAt, updatedAt, archivedAt, metadata] = JSON.parse(row);
  return {
    id,
    userId,
    title,
    version,
    createdAt: new Date(createdAt),
    updatedAt: new Date(updatedAt),
    archivedAt: archivedAt === null ? null : new Date(archivedAt),
    ...(metadata === null ? undefined : { metadata }),
  };
}

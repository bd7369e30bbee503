import type { Context } from "../database/context.ts";
import { query } from "../database/query.ts";
import { sql } from "../database/sql.ts";
import { ownedBy } from "../schema.ts";
import type { Chat } from "../types.ts";
import { chatJson, parseChat } from "./chat-row.ts";
import type { StoredDigest } from "./message-diff.ts";

/**
 * A chat with the digests of its messages: enough to compute a diff, and to write it if the chat is still in this
 * version.
 */
export interface ChatDigests {
  chat: Chat;
  /** The row's `xmin`, which changes with every update of the row, and when the chat is deleted and created again. */
  rowVersion: string;
  rows: StoredDigest[];
  firstOrder: 0;
}

/** Loads the chat of this user with the digests of its messages, from one snapshot. */
export async function loadDigests(
  context: Context,
  { userId, chatId }: { userId: string; chatId: string },
): Promise<ChatDigests | null> {
  const { chats, messages } = context.tables;
  const [loaded] = await query<{ chat: string; rowVersion: string; digests: string }>(context, {
    columns: {
      chat: chatJson,
      rowVersion: sql`chats.xmin::text`,
      digests: sql`(
        select coalesce(json_agg(json_build_array(m.id, m."order", encode(m.digest, 'hex'))), '[]')::text
        from ${messages} m
        where m.chat_id = ${chatId}
      )`,
    },
    from: sql`${chats} where chats.id = ${chatId} and ${ownedBy(chats, userId)}`,
  });
  if (!loaded) return null;
  const rows: [id: string, order: number, digest: string][] = JSON.parse(loaded.digests);
  return {
    chat: parseChat(loaded.chat),
    rowVersion: loaded.rowVersion,
    rows: rows.map(([id, order, digest]) => ({ id, order, digest })),
    firstOrder: 0,
  };
}

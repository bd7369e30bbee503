import type { SQL } from "drizzle-orm";
import { sql } from "../database/sql.ts";
import { type Actor, accessibleTo, type ChatTables } from "../schema.ts";
import { chatJson } from "./chat-row.ts";
import type { MessageRow } from "./message-row.ts";

export interface StoredMessage extends MessageRow {
  order: number;
}

/**
 * A row of a statement that loads a chat. The statement is a union, so that all kinds of rows have the columns of a
 * message: other kinds leave most of them null.
 */
export interface LoadedRow extends StoredMessage {
  /**
   * A `later message` comes without its content, but with its digest. An `existing id` is the id of a message and
   * nothing else.
   */
  kind: "chat" | "message" | "later message" | "existing id" | "turn" | "branch" | "point";
  /**
   * A JSON array for a chat, a turn, a branch and a point. For a message of a window: when it was first stored, in
   * milliseconds.
   */
  data: string;
}

export const loadedColumns = ["kind", "data", "id", "role", "parts", "metadata", "order", "digest"] as const;

/** The messages among the rows, in order: a union returns its rows in any order. */
export const messagesIn = (rows: readonly LoadedRow[]): LoadedRow[] =>
  rows.filter(({ kind }) => kind === "message" || kind === "later message").sort((a, b) => a.order - b.order);

/** The chat of a statement that loads it, if the actor has access to it. */
export const currentChat = (chats: ChatTables["chats"], { chatId, ...actor }: Actor & { chatId: string }): SQL => sql`
  select ${chatJson} as chat, chats.xmin::text as row_version
  from ${chats}
  where chats.id = ${chatId} and ${accessibleTo(chats, actor)}`;

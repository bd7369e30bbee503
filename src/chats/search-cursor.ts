import { InvalidChatError } from "../errors/errors.ts";
import type { Chat } from "../types.ts";

/**
 * How far a search has come: it has scanned all chats before this one, and of this one everything from this `"order"`
 * on.
 */
export interface SearchCursor {
  chatId: string;
  /** Milliseconds. */
  updatedAt: number;
  order: number;
}

/** The order of a title, which is scanned before all messages. */
export const titleOrder = 2 ** 31;

export function encodeCursor({ id, updatedAt }: Chat, order: number): string {
  return Buffer.from(JSON.stringify([id, updatedAt.getTime(), order])).toString("base64url");
}

export function decodeCursor(text: string): SearchCursor {
  try {
    const [chatId, updatedAt, order] = JSON.parse(Buffer.from(text, "base64url").toString());
    const isText = typeof chatId === "string" && chatId.isWellFormed() && !chatId.includes("\0");
    const isOrder = Number.isInteger(order) && order >= 0 && order <= titleOrder;
    if (isText && isOrder && isDateOfPostgres(updatedAt)) return { chatId, updatedAt, order };
  } catch {
    // Not a cursor of ours.
  }
  throw new InvalidChatError([
    {
      path: ["cursor"],
      message: "is no cursor; expected the one of the previous page, unchanged, or none for the first",
    },
  ]);
}

/**
 * Whether Postgres can read the date as toISOString writes it: its years begin with 1, and after 9999 they are written
 * differently.
 */
function isDateOfPostgres(milliseconds: unknown): boolean {
  if (!Number.isInteger(milliseconds)) return false;
  const year = new Date(Number(milliseconds)).getUTCFullYear();
  return year >= 1 && year <= 9999;
}

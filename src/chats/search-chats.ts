import { parseChat } from "../conversation/chat-row.ts";
import type { Context } from "../database/context.ts";
import { query } from "../database/query.ts";
import type { Parsed, searchChatsInput } from "../input.ts";
import type { ChatMatch, ChatMatches } from "../types.ts";
import { excerptIn } from "./excerpt.ts";
import { finderOf } from "./finder.ts";
import { scanStatement } from "./scan-statement.ts";
import { decodeCursor, encodeCursor } from "./search-cursor.ts";
import { patternOf } from "./search-pattern.ts";

/**
 * Scans the user's chats in the order of the list, and their messages from the end, until it has scanned enough. It
 * uses no text index, because one user has few chats, and no second copy of the texts, which could differ from the
 * messages.
 */
export async function searchChats(
  context: Context,
  { userId, query: text, limit = 20, cursor }: Parsed<typeof searchChatsInput>,
): Promise<ChatMatches> {
  const start = cursor === undefined ? undefined : decodeCursor(cursor);
  const rows = await query(context, scanStatement(context, userId, { pattern: patternOf(text), limit, start }));

  const chats = new Map(rows.flatMap(({ rank, chat }) => (chat === null ? [] : [[rank, parseChat(chat)] as const])));
  const ordered = rows.sort((a, b) => a.rank - b.rank || b.order - a.order);
  const find = finderOf(text);
  const matches = ordered.flatMap(({ kind, rank, id, role, parts }): ChatMatch[] => {
    const chat = chats.get(rank);
    if (!chat || kind === "next") return [];
    const texts = kind === "title" ? [chat.title] : textsIn(JSON.parse(parts));
    // The statement's patterns match a little more than what counts.
    const excerpt = texts.map((text) => excerptIn(text, find)).find((excerpt) => excerpt !== undefined);
    return excerpt ? [{ chat, messageId: id, role, excerpt }] : [];
  });
  const next = rows.find(({ kind }) => kind === "next");
  const chat = next && chats.get(next.rank);
  return { matches, cursor: chat ? encodeCursor(chat, next.order) : null };
}

type Part = { type?: unknown; text?: unknown; parts?: unknown } | null;

/**
 * The texts of text parts, also of those in messages that a user sent while the model was answering. Reasoning, and the
 * input and output of tools, are not searched.
 */
function textsIn(parts: unknown): string[] {
  const all = partsOf(parts).flatMap((part) => (part?.type === "steering-message" ? partsOf(part.parts) : [part]));
  return all.flatMap((part) => (part?.type === "text" && typeof part.text === "string" ? [part.text] : []));
}

/** An application's SQL may have stored anything. */
const partsOf = (parts: unknown): Part[] => (Array.isArray(parts) ? parts : []);

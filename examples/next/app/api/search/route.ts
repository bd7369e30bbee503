import type { ChatMatch } from "drizzle-chat-store";
import type { NextRequest } from "next/server";
import { z } from "zod";
import { getStore } from "@/lib/store";
import { currentUserId } from "@/lib/user";
import { refusal } from "../chat/requests";

/** Without what the page does not show. */
export type Match = Pick<ChatMatch, "messageId" | "excerpt"> & { chatId: string; title: string };

export interface Matches {
  matches: Match[];
  /** For the next page, or `null`. */
  cursor: string | null;
}

const wanted = z.object({ query: z.string(), cursor: z.string().optional() });

/** Where a text is found in the titles and messages of all chats. */
export async function GET(request: NextRequest) {
  try {
    const { query, cursor } = wanted.parse(Object.fromEntries(request.nextUrl.searchParams));
    const [store, userId] = await Promise.all([getStore(), currentUserId()]);
    const found = await store.searchChats({ userId, query, cursor });
    const matches = found.matches.map(({ chat, messageId, excerpt }) => {
      return { chatId: chat.id, title: chat.title, messageId, excerpt };
    });
    return Response.json({ matches, cursor: found.cursor } satisfies Matches);
  } catch (error) {
    return refusal(error);
  }
}

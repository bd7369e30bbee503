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
  /** Where to search on, or `null`. */
  before: string | null;
}

const wanted = z.object({ query: z.string(), before: z.string().optional() });

/** Where a text is found in the titles and messages of all chats. */
export async function GET(request: NextRequest) {
  try {
    const { query, before } = wanted.parse(Object.fromEntries(request.nextUrl.searchParams));
    const [store, userId] = await Promise.all([getStore(), currentUserId()]);
    const found = await store.searchChats({ userId, query, before });
    const matches = found.matches.map(({ chat, messageId, excerpt }) => {
      return { chatId: chat.id, title: chat.title, messageId, excerpt };
    });
    return Response.json({ matches, before: found.before } satisfies Matches);
  } catch (error) {
    return refusal(error);
  }
}

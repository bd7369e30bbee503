import { InvalidChatError } from "drizzle-chat-store";
import type { NextRequest } from "next/server";
import { z } from "zod";
import { getStore } from "@/lib/store";
import { currentUserId } from "@/lib/user";
import { messagesPerPage, mostMessages } from "../../limits";
import { gone, notThere, refusal } from "../../requests";

const wanted = z.object({
  before: z.string().min(1).max(255).optional(),
  limit: z.coerce.number().int().min(1).max(mostMessages).default(messagesPerPage),
});

/** The last messages of the chat, or the last before a message. */
export async function GET(request: NextRequest, { params }: { params: Promise<{ id: string }> }) {
  try {
    const { id: chatId } = await params;
    const { before, limit } = wanted.parse(Object.fromEntries(request.nextUrl.searchParams));
    const [store, userId] = await Promise.all([getStore(), currentUserId()]);
    const page = await store.getMessages({ userId, chatId, limit, before });
    return page ? Response.json({ messages: page.messages, hasMore: page.hasMore }) : notThere();
  } catch (error) {
    const isGone = InvalidChatError.isInstance(error) && error.issues.some(({ path }) => path[0] === "before");
    return isGone ? gone() : refusal(error);
  }
}

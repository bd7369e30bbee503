import { randomUUID } from "node:crypto";
import { InvalidChatError } from "drizzle-chat-store";
import { notFound, redirect } from "next/navigation";
import { store } from "@/lib/store";
import { currentUserId } from "@/lib/user";
import { Shell } from "./shell";

/** How many messages a page shows at first. */
const messagesPerPage = 30;

export default async function Page({ searchParams }: { searchParams: Promise<{ chatId?: string | string[] }> }) {
  const { chatId } = await searchParams;
  // A new chat has its id before its first question, so that the address never changes under an answer.
  if (typeof chatId !== "string" || chatId === "") redirect(`/?chatId=${randomUUID()}`);

  const userId = await currentUserId();
  if (!userId) throw new Error("The request has no user: proxy.ts did not run.");
  const [list, archived, page] = await Promise.all([
    store.getChats({ userId }),
    store.getChats({ userId, archived: true }),
    store.getMessages({ userId, chatId, limit: messagesPerPage }),
  ]).catch((error: unknown) => (InvalidChatError.isInstance(error) ? notFound() : Promise.reject(error)));
  // Somebody else's chat is null too, and looks like a new one.
  const { chat, messages = [], hasMore = false } = page ?? {};
  const stored = { id: chatId, title: chat?.title, version: chat?.version, messages, hasMore };
  return <Shell list={list} archived={archived} stored={stored} />;
}

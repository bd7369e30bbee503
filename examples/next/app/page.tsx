import { randomUUID } from "node:crypto";
import { InvalidChatError } from "drizzle-chat-store";
import { notFound, redirect } from "next/navigation";
import { getStore } from "@/lib/store";
import { currentUserId } from "@/lib/user";
import { messagesPerPage } from "./api/chat/limits";
import { Shell } from "./shell";

export default async function Page({ searchParams }: { searchParams: Promise<{ chatId?: string | string[] }> }) {
  const { chatId } = await searchParams;
  // A new chat has its id before its first question, so that the address never changes under an answer.
  if (typeof chatId !== "string" || chatId === "") redirect(`/?chatId=${randomUUID()}`);

  const userId = await currentUserId();
  const store = await getStore();
  const [chats, archived, page] = await Promise.all([
    store.getChats({ userId }),
    store.getChats({ userId, archived: true }),
    store.getMessages({ userId, chatId, limit: messagesPerPage }),
  ]).catch((error: unknown) => (InvalidChatError.isInstance(error) ? notFound() : Promise.reject(error)));
  // Somebody else's chat is null too, and looks like a new one.
  const { chat, messages = [], hasMore = false } = page ?? {};
  const stored = { id: chatId, title: chat?.title, version: chat?.version, messages, hasMore };
  return <Shell chats={chats} archived={archived} stored={stored} />;
}

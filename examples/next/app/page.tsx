import { randomUUID } from "node:crypto";
import { InvalidChatError } from "drizzle-chat-store";
import { notFound, redirect } from "next/navigation";
import { store } from "@/lib/store";
import { currentUserId } from "@/lib/user";
import { ChatApp } from "./chat-app";

/** Renders the first page. From then on, the hooks keep it up to date. */
export default async function Page({ searchParams }: { searchParams: Promise<{ chatId?: string | string[] }> }) {
  const { chatId: id } = await searchParams;
  // A new chat has its id before its first question, so that the address never changes under an answer.
  if (typeof id !== "string" || id === "") redirect(`/?chatId=${randomUUID()}`);
  const userId = await currentUserId();
  if (!userId) throw new Error("The request has no user: proxy.ts did not run.");
  const [page, list, archive] = await Promise.all([
    // Null for a chat of another user, too: it looks like a new one.
    store.getMessages({ userId, chatId: id, limit: 30 }),
    store.getChats({ userId, limit: 30 }),
    store.getChats({ userId, limit: 30, archived: true }),
  ]).catch((error: unknown) => (InvalidChatError.isInstance(error) ? notFound() : Promise.reject(error)));
  return <ChatApp first={{ id, page, list, archive }} />;
}

import { randomUUID } from "node:crypto";
import { InvalidChatError } from "drizzle-chat-store";
import { notFound, redirect } from "next/navigation";
import { getStore } from "@/lib/store";
import { currentUserId } from "@/lib/user";
import { Shell } from "./shell";

export default async function Page({ searchParams }: { searchParams: Promise<{ chatId?: string | string[] }> }) {
  const { chatId } = await searchParams;
  // A new chat has its id before its first question, so that the address never changes under an answer.
  if (typeof chatId !== "string" || chatId === "") redirect(`/?chatId=${randomUUID()}`);

  const userId = await currentUserId();
  const store = await getStore();
  const [chats, archived, chat] = await Promise.all([
    store.getChats({ userId }),
    store.getChats({ userId, archived: true }),
    store.getChat({ userId, chatId }),
  ]).catch((error: unknown) => (InvalidChatError.isInstance(error) ? notFound() : Promise.reject(error)));
  // Somebody else's chat is null too, and looks like a new one.
  const { title, version, messages = [] } = chat ?? {};
  return <Shell chats={chats} archived={archived} stored={{ id: chatId, title, version, messages }} />;
}

import { ChatConflictError } from "drizzle-chat-store";
import { z } from "zod";
import { getStore } from "@/lib/store";
import { currentUserId } from "@/lib/user";
import { bodyOf, notThere, refusal } from "../../requests";

// The page makes the new id, so that a request which arrives twice makes one copy: the second is refused with 409.
const copy = z.object({ newChatId: z.string(), throughMessageId: z.string() });

/** Copies the chat up to a message, to go on from there in another way. */
export async function POST(request: Request, { params }: { params: Promise<{ id: string }> }) {
  try {
    const { id: chatId } = await params;
    const { newChatId, throughMessageId } = copy.parse(await bodyOf(request));
    const [store, userId] = await Promise.all([getStore(), currentUserId()]);
    const chat = await store.forkChat({ userId, chatId, newChatId, throughMessageId }).catch(async (error) => {
      if (!ChatConflictError.isInstance(error)) throw error;
      // Asked for again, because the first answer did not arrive: the copy is there.
      const made = await store.getMessages({ userId, chatId: newChatId, limit: 1 });
      if (!made || made.messages.at(-1)?.id !== throughMessageId) throw error;
      return made.chat;
    });
    return chat ? Response.json(chat, { status: 201 }) : notThere();
  } catch (error) {
    return refusal(error);
  }
}

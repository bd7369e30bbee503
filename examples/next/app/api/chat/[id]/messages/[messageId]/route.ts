import { getStore } from "@/lib/store";
import { currentUserId } from "@/lib/user";
import { notThere, refusal } from "../../../requests";

/** Deletes the message and all that followed it. */
export async function DELETE(_request: Request, { params }: { params: Promise<{ id: string; messageId: string }> }) {
  try {
    const { id: chatId, messageId } = await params;
    const [store, userId] = await Promise.all([getStore(), currentUserId()]);
    const chat = await store.deleteMessage({ userId, chatId, messageId, following: true });
    return chat ? Response.json(chat) : notThere();
  } catch (error) {
    return refusal(error);
  }
}

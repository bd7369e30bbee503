import { z } from "zod";
import { getStore } from "@/lib/store";
import { currentUserId } from "@/lib/user";
import { bodyOf, notThere, refusal } from "../requests";

interface Context {
  params: Promise<{ id: string }>;
}

const changes = z.object({
  title: z.string().trim().min(1).optional(),
  archived: z.boolean().optional(),
});

/** Renames the chat, or moves it into the archive or back. */
export async function PATCH(request: Request, { params }: Context) {
  try {
    const { id: chatId } = await params;
    const { title, archived } = changes.parse(await bodyOf(request));
    const [store, userId] = await Promise.all([getStore(), currentUserId()]);
    const chat = await store.updateChat({ userId, chatId, title, archived });
    return chat ? Response.json(chat) : notThere();
  } catch (error) {
    return refusal(error);
  }
}

export async function DELETE(_request: Request, { params }: Context) {
  try {
    const { id: chatId } = await params;
    const [store, userId] = await Promise.all([getStore(), currentUserId()]);
    const deleted = await store.deleteChat({ userId, chatId });
    return deleted ? new Response(null, { status: 204 }) : notThere();
  } catch (error) {
    return refusal(error);
  }
}

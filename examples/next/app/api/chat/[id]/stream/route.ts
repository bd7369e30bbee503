import { UI_MESSAGE_STREAM_HEADERS } from "ai";
import { InvalidChatError } from "drizzle-chat-store";
import type { NextRequest } from "next/server";
import { getStore } from "@/lib/store";
import { currentUserId } from "@/lib/user";
import { refusal } from "../../requests";
import { closing, openStream } from "../../streams";

interface Context {
  params: Promise<{ id: string }>;
}

/** The answer that is being generated, from its beginning, or what was stored since the page's version of the chat. */
export async function GET(request: NextRequest, { params }: Context) {
  let close: (() => void) | undefined;
  try {
    const { id: chatId } = await params;
    const version = Number(request.nextUrl.searchParams.get("version")) || undefined;
    const [store, userId] = await Promise.all([getStore(), currentUserId()]);
    close = openStream(userId);
    const stream = await store.resumeTurn({ userId, chatId, version }).catch(nothingIfInvalid);
    if (stream) return new Response(closing(stream, close), { headers: UI_MESSAGE_STREAM_HEADERS });
    close();
    return new Response(null, { status: 204 });
  } catch (error) {
    close?.();
    return refusal(error);
  }
}

/** Stops the answer, wherever it is being generated. The page says which message is its last, so that no other one is hit. */
export async function DELETE(request: NextRequest, { params }: Context) {
  const { id: chatId } = await params;
  const messageId = request.nextUrl.searchParams.get("message") ?? undefined;
  const [store, userId] = await Promise.all([getStore(), currentUserId()]);
  await store.stopTurn({ userId, chatId, messageId }).catch(nothingIfInvalid);
  return new Response(null, { status: 204 });
}

/** No chat has such an id. */
function nothingIfInvalid(error: unknown): null {
  if (InvalidChatError.isInstance(error)) return null;
  throw error;
}

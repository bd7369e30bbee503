import type { ChatStore } from "drizzle-chat-store";
import { userIdOf } from "./user.ts";

/** A route of your own beside the handler: all chats of the user with their messages, as JSON lines. */
export function exportChats(store: ChatStore) {
  return async (request: Request): Promise<Response> => {
    const userId = userIdOf(request);
    if (!userId) {
      return Response.json({ error: { code: "unauthorized", message: "Sign in first." } }, { status: 401 });
    }
    // Reads on as the client does, and stops when it leaves. An export that fails breaks the response off.
    const lines = async function* () {
      for await (const chat of store.exportChats({ userId })) yield Buffer.from(`${JSON.stringify(chat)}\n`);
    };
    return new Response(ReadableStream.from(lines()), { headers: { "content-type": "application/x-ndjson" } });
  };
}

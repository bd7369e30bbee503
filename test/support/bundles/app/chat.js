import { ChatOwnershipError, createChatStore } from "drizzle-chat-store";

/** What an application does with the store, and what came of it. */
export async function chat(db, chatId) {
  const store = createChatStore(db);
  const messages = [
    { id: "m1", role: "user", parts: [{ type: "text", text: "Weather?" }] },
    { id: "m2", role: "assistant", metadata: { model: "x" }, parts: [{ type: "text", text: "Sunny \u0000" }] },
  ];
  await store.upsertChat({ userId: "ada", chatId, title: "Weather", messages: messages.slice(0, 1) });
  await store.upsertChat({ userId: "ada", chatId, messages });
  const refusal = await store.upsertChat({ userId: "eve", chatId, messages: [] }).catch((error) => error);
  return {
    messages: (await store.getChat({ userId: "ada", chatId })).messages,
    // A minifier renames classes, not what callers tell errors by.
    refusal: { name: refusal.name, code: refusal.code, isInstance: ChatOwnershipError.isInstance(refusal) },
  };
}

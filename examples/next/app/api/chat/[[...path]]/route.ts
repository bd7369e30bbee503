import { streamText } from "ai";
import { createChatHandler } from "drizzle-chat-store/handler";
import { after } from "next/server";
import { model } from "@/lib/model";
import { store } from "@/lib/store";
import { currentUserId } from "@/lib/user";

export const { GET, POST, PATCH, DELETE } = createChatHandler({
  store,
  userId: currentUserId,
  answer: ({ modelMessages, abortSignal }) =>
    streamText({
      model,
      messages: modelMessages,
      abortSignal,
      // Not the error's other fields, which contain the whole prompt.
      onError: ({ error }) => console.error(error instanceof Error ? error.stack : error),
    }),
  // The model gets the end of a long chat. The store keeps all of it.
  limit: 40,
  waitUntil: after,
});

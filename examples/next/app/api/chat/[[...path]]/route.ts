import { isStepCount, streamText, tool, toUIMessageStream } from "ai";
import { createChatHandler } from "drizzle-chat-store/handler";
import { after } from "next/server";
import { z } from "zod";
import { model } from "@/lib/model";
import { store } from "@/lib/store";
import { currentUserId } from "@/lib/user";

const bookTable = tool({
  description: "Books a table in a restaurant.",
  inputSchema: z.object({ restaurant: z.string(), guests: z.number(), time: z.string() }),
  execute: async ({ restaurant, time }) => `A table at ${restaurant} is reserved for ${time}.`,
});

export const { GET, POST, PATCH, DELETE } = createChatHandler({
  store,
  userId: currentUserId,
  tools: { bookTable },
  answer({ modelMessages, abortSignal }) {
    const { stream } = streamText({
      model,
      messages: modelMessages,
      tools: { bookTable },
      toolApproval: { bookTable: "user-approval" },
      stopWhen: isStepCount(5),
      abortSignal,
      // Not the error's other fields, which contain the whole prompt.
      onError: ({ error }) => console.error(error instanceof Error ? error.stack : error),
    });
    return toUIMessageStream({ stream, sendSources: true });
  },
  // The model gets the end of a long chat. The store keeps all of it.
  limit: 40,
  waitUntil: after,
});

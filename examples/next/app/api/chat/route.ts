import {
  convertToModelMessages,
  createUIMessageStreamResponse,
  streamText,
  toUIMessageStream,
  type UIMessage,
} from "ai";
import { z } from "zod";
import { model } from "@/lib/model";
import { getStore } from "@/lib/store";
import { currentUserId } from "@/lib/user";
import { messagesForModel } from "./limits";
import { bodyOf, refusal } from "./requests";
import { openStream } from "./streams";

/** What this application's page sends. Add files here, and the answers to tool calls, once yours has them. */
const question = z.object({
  id: z.string(),
  message: z.object({
    id: z.string(),
    role: z.literal("user"),
    parts: z.array(z.object({ type: z.literal("text"), text: z.string() })).min(1),
  }),
  trigger: z.enum(["submit-message", "regenerate-message"]).optional(),
  messageId: z.string().optional(),
});

export async function POST(request: Request) {
  let close: (() => void) | undefined;
  try {
    const { id: chatId, message, trigger, messageId } = question.parse(await bodyOf(request));
    const [store, userId] = await Promise.all([getStore(), currentUserId()]);
    close = openStream(userId);
    const turn = await store.startTurn({
      userId,
      chatId,
      message,
      trigger,
      messageId,
      title: titleOf(message),
      limit: messagesForModel,
    });
    const result = streamText({
      model,
      messages: await convertToModelMessages(turn.messages, { ignoreIncompleteToolCalls: true }),
      abortSignal: turn.abortSignal,
      // Not its other fields, which hold the whole prompt.
      onError: ({ error }) => console.error(error instanceof Error ? error.stack : error),
    });
    return createUIMessageStreamResponse({
      stream: toUIMessageStream({ stream: result.stream, ...turn.persist }),
      // With the question. The page needs it to ask for what it does not show yet.
      headers: { "x-chat-version": String(turn.chat.version) },
      // Reads to the end even if the browser has gone, and records what comes for every other tab.
      consumeSseStream: (options) => turn.consumeSseStream(options).finally(close),
    });
  } catch (error) {
    close?.();
    return refusal(error);
  }
}

/** The beginning of the first question, on one line. */
function titleOf(message: UIMessage): string {
  const text = message.parts.map((part) => (part.type === "text" ? part.text : "")).join(" ");
  // A message can hold NUL and half a character, but a title is a Postgres text, which cannot.
  const line = text
    .replace(/[\s\p{Cc}]+/gu, " ")
    .trim()
    .toWellFormed();
  const characters = Array.from(line);
  return characters.length > 60 ? `${characters.slice(0, 59).join("").trimEnd()}…` : line;
}

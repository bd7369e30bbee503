import type { Turn } from "../types.ts";
import { answerResponse, toChunkStream } from "./answer-stream.ts";
import { failure } from "./errors.ts";
import { toModelMessages } from "./model-messages.ts";
import { type Question, readQuestion } from "./question.ts";
import type { RouteCall } from "./routes.ts";
import { generateTitle, titleOf } from "./title.ts";

/** `POST /`: stores the question, and streams its answer. */
export async function answerQuestion(call: RouteCall): Promise<Response> {
  const { settings, request, userId, onError } = call;
  const { store, tools, limit } = settings;
  const { body, ...question } = await readQuestion(request, settings);
  const title = settings.title === false ? undefined : titleOf(question.message);
  const turn = await store.startTurn({ ...question, userId, title, tools, limit });
  try {
    return await startAnswer(call, turn, { ...question, body });
  } catch (error) {
    // Otherwise pages that load the chat would wait for an answer until the turn counts as dead.
    await turn.fail().catch(onError);
    throw error;
  }
}

async function startAnswer(
  { settings, request, userId, onError }: RouteCall,
  turn: Turn,
  { message, body }: Question,
): Promise<Response> {
  const { chat, messages, abortSignal } = turn;
  const waitUntil = settings.waitUntil ?? (() => {});
  // A chat has version 1 until a second save. The user may have renamed it before trying the question again.
  const hasNewTitle = chat.version === 1 && chat.title === titleOf(message);
  if (hasNewTitle && settings.title) waitUntil(generateTitle(settings, chat, message).catch(onError));
  let chunks: ReturnType<typeof toChunkStream>;
  try {
    const modelMessages = await toModelMessages(messages, settings.tools);
    const context = { modelMessages, messages, chat, abortSignal, userId, request, body, turn };
    chunks = toChunkStream(await settings.answer(context));
  } catch (error) {
    // Also if it looks like an error of the store, which `answer` may have called.
    throw failure(error);
  }
  return answerResponse({ turn, chunks, onError, waitUntil });
}

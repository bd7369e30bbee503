import type { Turn } from "../types.ts";
import { answerResponse, toChunkStream } from "./answer-stream.ts";
import { failure } from "./errors.ts";
import { toModelMessages } from "./model-messages.ts";
import { readQuestion } from "./question.ts";
import type { RouteCall } from "./routes.ts";
import { generateTitle, titleOf } from "./title.ts";

/** `POST /`: stores the question, and streams its answer. */
export async function answerQuestion(call: RouteCall): Promise<Response> {
  const { settings, request, userId, onError } = call;
  const { store, tools, limit, title: generate, waitUntil = () => {} } = settings;
  const { body, ...question } = await readQuestion(request, settings);
  const { message } = question;
  const title = generate === false ? undefined : titleOf(message);
  const turn = await store.startTurn({ ...question, userId, title, tools, limit });
  const { chat } = turn;
  try {
    // A chat has version 1 until a second save. The user may have renamed it before trying the question again.
    if (generate && chat.version === 1 && chat.title === title) {
      waitUntil(generateTitle(store, generate, chat, message).catch(onError));
    }
    const chunks = await askModel(call, turn, body);
    return answerResponse({ turn, chunks, onError, waitUntil });
  } catch (error) {
    // Otherwise pages that load the chat would wait for an answer until the turn counts as dead.
    await turn.fail().catch(onError);
    throw error;
  }
}

async function askModel({ settings, request, userId }: RouteCall, turn: Turn, body: unknown) {
  const { chat, messages, abortSignal } = turn;
  try {
    const modelMessages = await toModelMessages(messages, settings.tools);
    const context = { modelMessages, messages, chat, abortSignal, userId, request, body, turn };
    return toChunkStream(await settings.answer(context));
  } catch (error) {
    // Also if it looks like an error of the store, which `answer` may have called.
    throw failure(error);
  }
}

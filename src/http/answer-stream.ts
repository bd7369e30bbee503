import type { UIMessage, UIMessageChunk } from "ai";
import * as ai from "ai";
import { isStoreError } from "../errors/is-store-error.ts";
import { versionHeader } from "../protocol.ts";
import type { Turn } from "../types.ts";

/**
 * The headers of every stream. `no-transform` keeps compression from holding it back. Without `connection`, which HTTP/2
 * forbids.
 */
export const streamHeaders = (version: number | undefined): Record<string, string> => ({
  "content-type": "text/event-stream",
  "cache-control": "no-cache, no-transform",
  "x-vercel-ai-ui-message-stream": "v1",
  // Keeps nginx from holding it back.
  "x-accel-buffering": "no",
  ...(version !== undefined && { [versionHeader]: String(version) }),
});

/** What the client learns of an error in the stream. */
const errorText = "An error occurred.";

interface AnswerStreamOptions {
  turn: Turn;
  chunks: ReadableStream<UIMessageChunk>;
  /** Gets the errors of the stream and of the save of the answer. */
  onError: (error: unknown) => void;
  /** Gets the promise of the recording, which ends after the save. */
  waitUntil: (promise: Promise<unknown>) => void;
}

/** The response with the answer, which is saved when its stream ends, whether the client reads it or not. */
export function answerResponse({ turn, chunks, onError, waitUntil }: AnswerStreamOptions): Response {
  const { generateMessageId, onEnd } = turn.persist;
  const save = (event: { responseMessage: UIMessage }) =>
    onEnd(event).catch((error) => {
      // That a later change supersedes the turn is no fault.
      if (!isStoreError(error, "CHAT_CONFLICT")) onError(error);
      throw error;
    });
  // Around every kind of answer, so that data parts and metadata that the application adds are stored, too.
  const stream = ai.createUIMessageStream({
    ...turn.persist,
    onEnd: save,
    onFinish: save,
    generateId: generateMessageId,
    execute: async ({ writer }) => {
      try {
        for await (const chunk of startedWith(generateMessageId(), chunks)) writer.write(chunk as never);
      } catch (error) {
        // A stream that follows the signal may break off when the answer is stopped, which is no fault.
        if (turn.abortSignal.aborted) return writer.write({ type: "abort" });
        onError(error);
        writer.write({ type: "error", errorText });
      }
    },
    // The SDK also calls this for each error chunk, which is no new error.
    onError: () => errorText,
  });
  const response = ai.createUIMessageStreamResponse({
    stream: stream as ReadableStream<UIMessageChunk>,
    consumeSseStream: (options) => waitUntil(turn.consumeSseStream(options)),
  });
  return new Response(response.body, { headers: streamHeaders(turn.chat.version) });
}

/**
 * Makes a `start` with the answer's id the first chunk, and the only start: a page that resumes drops what came before a
 * start with another id.
 */
async function* startedWith(messageId: string, chunks: ReadableStream<UIMessageChunk>): AsyncGenerator<UIMessageChunk> {
  let hasStarted = false;
  for await (const chunk of chunks) {
    if (typeof chunk?.type !== "string") {
      throw new TypeError("answer returned a stream of other values than UI message chunks.");
    }
    if (chunk.type !== "start") {
      if (!hasStarted) yield { type: "start", messageId };
      yield chunk;
    } else if (!hasStarted) {
      yield { ...chunk, messageId };
    } else if (chunk.messageMetadata !== undefined) {
      yield { type: "message-metadata", messageMetadata: chunk.messageMetadata };
    }
    hasStarted = true;
  }
}

/** @throws {TypeError} `answer` returned something else. */
export function toChunkStream(answer: unknown): ReadableStream<UIMessageChunk> {
  if (typeof answer === "object" && answer !== null) {
    if ("toUIMessageStream" in answer && typeof answer.toUIMessageStream === "function")
      return answer.toUIMessageStream();
    if ("pipeThrough" in answer) return answer as ReadableStream<UIMessageChunk>;
    // The function of ai 7. A named import of it would fail with ai 5 and 6.
    const toUIMessageStream: unknown = Reflect.get(ai, "toUIMessageStream");
    if ("stream" in answer && typeof toUIMessageStream === "function")
      return toUIMessageStream({ stream: answer.stream });
  }
  throw new TypeError(
    "answer returned no stream; expected the result of streamText or of an agent's stream method, or a stream of UI " +
      "message chunks, and no Response.",
  );
}

import type { UIMessage, UIMessageChunk } from "ai";
import * as ai from "ai";
import { versionHeader } from "../protocol.ts";
import type { Turn } from "../types.ts";

/** The headers of every stream. `no-transform` keeps compression from holding it back. Without `connection`, which HTTP/2 forbids. */
export const streamHeaders = (version: number | undefined): Record<string, string> => ({
  "content-type": "text/event-stream",
  "cache-control": "no-cache, no-transform",
  "x-vercel-ai-ui-message-stream": "v1",
  // Keeps nginx from holding it back.
  "x-accel-buffering": "no",
  ...(version !== undefined && { [versionHeader]: String(version) }),
});

interface AnswerStreamOptions {
  turn: Turn;
  chunks: ReadableStream<UIMessageChunk>;
  /** Gets the errors of the stream and of the save of the answer. */
  onError: (error: unknown) => void;
  /** Gets the promise of the recording, which ends after the save. */
  waitUntil: (promise: Promise<unknown>) => void;
}

/** The response with the answer, which is saved when its stream ends, whether the client reads it or not. */
export function answerResponse({ turn, chunks, onError, waitUntil }: AnswerStreamOptions) {
  const { generateMessageId, onEnd } = turn.persist;
  const errorText = "An error occurred.";
  // The SDK reports the text of each error chunk as one more error: of an error that it has reported, or that the
  // application's stream has, as after a failure of the provider, which streamText reports.
  const sentTexts: string[] = [];
  const save = (event: { responseMessage: UIMessage }) =>
    onEnd(event).catch((error) => {
      onError(error);
      throw error;
    });
  // Around every kind of answer, so that data parts and metadata that the application adds are stored, too.
  const stream = ai.createUIMessageStream({
    ...turn.persist,
    onEnd: save,
    onFinish: save,
    generateId: generateMessageId,
    execute: ({ writer }) => writer.merge(chunks.pipeThrough(startWith(generateMessageId(), sentTexts)) as never),
    onError: (error) => {
      const sent = error instanceof Error ? sentTexts.indexOf(error.message) : -1;
      if (sent !== -1) sentTexts.splice(sent, 1);
      else {
        sentTexts.push(errorText);
        onError(error);
      }
      return errorText;
    },
  });
  const response = ai.createUIMessageStreamResponse({
    stream: stream as ReadableStream<UIMessageChunk>,
    consumeSseStream: (options) => waitUntil(turn.consumeSseStream(options)),
  });
  return new Response(response.body, { headers: streamHeaders(turn.chat.version) });
}

/**
 * Makes a `start` with the answer's id the first chunk, and the only start: a page that resumes drops what came before a
 * start with another id. Adds the texts of error chunks to `sentTexts`.
 */
function startWith(messageId: string, sentTexts: string[]): TransformStream<UIMessageChunk, UIMessageChunk> {
  let hasStarted = false;
  return new TransformStream<UIMessageChunk, UIMessageChunk>({
    transform(chunk, controller) {
      if (typeof chunk !== "object" || chunk === null) {
        throw new TypeError("answer returned a stream of other values; expected one of UI message chunks.");
      }
      if (chunk.type === "error") sentTexts.push(chunk.errorText);
      if (chunk.type !== "start") {
        if (!hasStarted) controller.enqueue({ type: "start", messageId });
        controller.enqueue(chunk);
      } else if (!hasStarted) {
        controller.enqueue({ ...chunk, messageId });
      } else if (chunk.messageMetadata !== undefined) {
        controller.enqueue({ type: "message-metadata", messageMetadata: chunk.messageMetadata });
      }
      hasStarted = true;
    },
  });
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
    `answer returned ${describe(answer)}; expected the result of streamText or of an agent's stream method, or a stream ` +
      "of UI message chunks.",
  );
}

function describe(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(typeof value);
  return "headers" in value && "status" in value ? "a Response" : "another object";
}

import { convertToModelMessages, createUIMessageStreamResponse, streamText, toUIMessageStream } from "ai";
import { MockLanguageModelV4 } from "ai/test";
import type { Turn } from "../../src/index.ts";

const usage = {
  inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 1, text: 1, reasoning: 0 },
};

/** A model whose words are said by the test, one after the other. */
export function speaker() {
  const { readable, writable } = new TransformStream();
  const writer = writable.getWriter();
  // Whom nobody listens to any more speaks in vain.
  const speak = (part: object) => void writer.write(part).catch(() => {});
  speak({ type: "stream-start", warnings: [] });
  speak({ type: "text-start", id: "1" });
  const model = new MockLanguageModelV4({
    doStream: async ({ abortSignal }) => {
      abortSignal?.addEventListener("abort", () => void writer.abort(abortSignal.reason).catch(() => {}));
      return { stream: readable };
    },
  });
  return {
    model,
    say: (delta: string) => speak({ type: "text-delta", id: "1", delta }),
    finish: async () => {
      speak({ type: "text-end", id: "1" });
      speak({ type: "finish", finishReason: { unified: "stop", raw: "stop" }, usage });
      await writer.close().catch(() => {});
    },
  };
}

/** What a route handler does, and a browser that reads until it leaves. */
export async function answer(turn: Turn, model: MockLanguageModelV4): Promise<Response> {
  const result = streamText({
    model,
    messages: await convertToModelMessages(turn.messages, { ignoreIncompleteToolCalls: true }),
    maxRetries: 0,
    abortSignal: turn.abortSignal,
    onError: () => {},
  });
  return createUIMessageStreamResponse({
    stream: toUIMessageStream({ stream: result.stream, ...turn.persist }),
    consumeSseStream: turn.consumeSseStream,
  });
}

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
  void writer.write({ type: "stream-start", warnings: [] });
  void writer.write({ type: "text-start", id: "1" });
  const model = new MockLanguageModelV4({
    doStream: async ({ abortSignal }) => {
      abortSignal?.addEventListener("abort", () => void writer.abort(abortSignal.reason).catch(() => {}));
      return { stream: readable };
    },
  });
  return {
    model,
    say: (delta: string) => void writer.write({ type: "text-delta", id: "1", delta }).catch(() => {}),
    finish: async () => {
      void writer.write({ type: "text-end", id: "1" });
      void writer.write({ type: "finish", finishReason: { unified: "stop", raw: "stop" }, usage });
      await writer.close();
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

import type { UIMessageChunk } from "ai";

/** Waits for the first chunk. `messageId`: of the message that the stream brings; undefined if it brings none. */
export async function beginStream(stream: ReadableStream<UIMessageChunk>) {
  const reader = stream.getReader();
  const first = await reader.read();
  return {
    messageId: first.value?.type === "start" ? first.value.messageId : undefined,
    stream: new ReadableStream<UIMessageChunk>({
      start(controller) {
        if (first.done) controller.close();
        else controller.enqueue(first.value);
      },
      async pull(controller) {
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    }),
  };
}

/** Resolves when the SDK has no use for the request any more. */
export function aborted(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (!signal || signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** The page has gone while the server was responding. The answer goes on. */
export function leave(stream: ReadableStream<UIMessageChunk>): ReadableStream<UIMessageChunk> {
  discard(stream);
  return new ReadableStream({ start: (controller) => controller.close() });
}

/** A stream that is broken rejects, and nothing waits for it. */
export const discard = (stream: ReadableStream<unknown> | null) => void stream?.cancel().catch(() => {});

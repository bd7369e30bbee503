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

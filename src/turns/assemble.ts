import type { UIMessage } from "ai";
import { hasEndMarker, parseStreamChunks } from "./sse-events.ts";

/** The texts of a recording, page by page. */
export type Recording = AsyncIterable<readonly string[]>;

export interface Assembled {
  message: UIMessage;
  /** Its stream had come to its end. */
  isFinished: boolean;
}

/** The one function of the SDK that is needed here. */
type Sdk = Pick<typeof import("ai"), "createUIMessageStream">;

/** Milliseconds after which others in this process are served. */
const longEnough = 10;

/**
 * The message that the SDK makes of a recording which continues `base`, as far as it goes: up to its end, or up to a chunk that does not
 * fit what came before it, as after an upgrade of the SDK. In that case `recording` is read again.
 */
export async function assemble(base: UIMessage, recording: () => Recording, installed?: Sdk): Promise<Assembled> {
  const sdk = installed ?? (await import("ai"));
  const all = await readChunks(sdk, base, recording(), Number.POSITIVE_INFINITY);
  const assembled = all.assembled ?? (await readChunks(sdk, base, recording(), all.count)).assembled;
  return assembled ?? { message: base, isFinished: false };
}

/**
 * The SDK's own way of putting an answer together on the server, which keeps one message and adds to it. Its `readUIMessageStream` copies
 * the message at every chunk: the time for that grows with the square of the message.
 *
 * @returns how many chunks the SDK has understood, and what it made of them unless one did not fit. `limit`: no more than so many.
 */
async function readChunks(sdk: Sdk, base: UIMessage, recording: Recording, limit: number) {
  let assembled: Assembled | undefined;
  let isFinished = false;
  let failure: { error: unknown } | undefined;
  let isBroken = false;
  let count = 0;
  let hasCome = () => {};
  let executed: Promise<void> | undefined;

  /** Writes one chunk after the other, so that no more than one page is in memory, and it is known which one does not fit. */
  async function writeAll(write: (chunk: never) => void): Promise<void> {
    let servedAt = performance.now();
    for await (const texts of recording) {
      for (const chunk of parseStreamChunks(texts)) {
        // What the client is told of an error is no part of the message.
        if (chunk.type === "error") continue;
        if (count === limit) return;
        const read = new Promise<void>((resolve) => {
          // All three versions hand on each chunk; one that keeps a chunk must not hold up the chat.
          const timer = setTimeout(resolve, 1_000);
          hasCome = () => {
            clearTimeout(timer);
            resolve();
          };
        });
        write(chunk as never);
        await read;
        if (isBroken) return;
        isFinished ||= chunk.type === "finish";
        if (performance.now() - servedAt < longEnough) continue;
        await new Promise((resolve) => setTimeout(resolve, 0));
        servedAt = performance.now();
      }
      isFinished ||= texts.some(hasEndMarker);
    }
  }

  const stream = sdk.createUIMessageStream({
    originalMessages: [base],
    execute: ({ writer }) => {
      executed = writeAll((chunk) => writer.write(chunk)).catch((error) => {
        failure = { error };
      });
      return executed;
    },
    // By this name in ai 5, 6 and 7.
    onFinish: ({ responseMessage }) => {
      assembled = { message: responseMessage, isFinished };
    },
  });
  try {
    const reader = stream.getReader();
    while (!(await reader.read()).done) {
      count++;
      hasCome();
    }
  } catch {
    // A chunk that does not fit.
    isBroken = true;
    hasCome();
  }
  await executed;
  if (failure) throw failure.error;
  return { assembled, count };
}

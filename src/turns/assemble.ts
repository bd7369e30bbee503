import type { UIMessage } from "ai";
import { sleep } from "./sleep.ts";
import { hasEndMarker, parseStreamChunks } from "./sse-events.ts";

/** The pieces of a recording, page by page. */
export type RecordingPages = AsyncIterable<readonly string[]>;

export interface AssembledMessage {
  message: UIMessage;
  /** The stream had come to its end. */
  isFinished: boolean;
}

/** The only function of the SDK that is used here. */
type Sdk = Pick<typeof import("ai"), "createUIMessageStream">;

/** Milliseconds after which other work of this process gets its turn. */
const longestBlock = 10;

/** Milliseconds to wait for the SDK to pass a chunk on. All three versions do; one that keeps a chunk must not hang. */
const passTimeout = 1_000;

/**
 * Assembles the message that the SDK makes of a recording that continues `base`: up to the recording's end, or up to a
 * chunk that does not fit the chunks before it, as after an upgrade of the SDK. In that case it reads the recording
 * again, and stops before that chunk.
 */
export async function assemble(
  base: UIMessage,
  recording: () => RecordingPages,
  installed?: Sdk,
): Promise<AssembledMessage> {
  const sdk = installed ?? (await import("ai"));
  const all = await applyChunks(sdk, base, recording(), Number.POSITIVE_INFINITY);
  const assembled = all.assembled ?? (await applyChunks(sdk, base, recording(), all.count)).assembled;
  return assembled ?? { message: base, isFinished: false };
}

/**
 * Applies at most `limit` chunks with the function that puts answers together on a server, which keeps one message and
 * adds to it. `readUIMessageStream` would copy the message at every chunk, in time that grows with its square.
 *
 * @returns how many chunks the SDK has applied, and the message unless a chunk did not fit.
 */
async function applyChunks(sdk: Sdk, base: UIMessage, recording: RecordingPages, limit: number) {
  let assembled: AssembledMessage | undefined;
  let isFinished = false;
  let failure: { error: unknown } | undefined;
  let isBroken = false;
  let count = 0;
  let onPassed = () => {};
  let written: Promise<void> | undefined;

  /** Waits for each chunk, so that only one page is in memory, and to know which chunk does not fit. */
  async function writeChunks(write: (chunk: never) => void): Promise<void> {
    let resumedAt = performance.now();
    for await (const pieces of recording) {
      for (const chunk of parseStreamChunks(pieces)) {
        // Tells the client of an error, and is no part of the message.
        if (chunk.type === "error") continue;
        if (count === limit) return;
        const passed = new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, passTimeout);
          onPassed = () => {
            clearTimeout(timer);
            resolve();
          };
        });
        write(chunk as never);
        await passed;
        if (isBroken) return;
        isFinished ||= chunk.type === "finish";
        if (performance.now() - resumedAt < longestBlock) continue;
        await sleep(0);
        resumedAt = performance.now();
      }
      isFinished ||= pieces.some(hasEndMarker);
    }
  }

  const stream = sdk.createUIMessageStream({
    originalMessages: [base],
    execute: ({ writer }) => {
      written = writeChunks((chunk) => writer.write(chunk)).catch((error) => {
        failure = { error };
      });
      return written;
    },
    // ai 5, 6 and 7 all know this name.
    onFinish: ({ responseMessage }) => {
      assembled = { message: responseMessage, isFinished };
    },
  });
  try {
    const reader = stream.getReader();
    while (!(await reader.read()).done) {
      count++;
      onPassed();
    }
  } catch {
    // A chunk did not fit.
    isBroken = true;
    onPassed();
  }
  await written;
  if (failure) throw failure.error;
  return { assembled, count };
}

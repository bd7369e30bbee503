import type { UIMessageChunk } from "ai";
import { lostConnection } from "./request-error.ts";

export interface AnswerEvents {
  /** The id of the message that the stream brings. */
  onMessageId: (messageId: string) => void;
  /**
   * The server has sent the answer to its end, also one that ends with an error. It has stored the answer unless that is
   * empty. `isShown`: it has, and the page shows the answer.
   */
  onComplete: (answer: { isShown: boolean }) => void;
  /** Nothing more comes, for whatever reason. */
  onEnd: () => void;
}

interface FollowOptions {
  /** Aborts when the page stops listening. */
  signal: AbortSignal;
  /** Whether the answer becomes a message of its own, behind a question, and does not continue one. */
  isOwnMessage: boolean;
}

/**
 * Passes on what the page shows. Holds back the start of an answer until there is something to show: the server stores
 * no empty answer, as after a stop before the first word, so that the page must not show one either.
 *
 * An answer that was stopped ends for the page like one that it has aborted, and so does one that adds nothing to the
 * last message. Otherwise `sendAutomaticallyWhen` would find there the tool calls that it has just sent, and send them
 * again, and the SDK would send the next message of its queue.
 */
export function followAnswer(
  stream: ReadableStream<UIMessageChunk>,
  { signal, isOwnMessage }: FollowOptions,
  { onMessageId, onComplete, onEnd }: AnswerEvents,
): ReadableStream<UIMessageChunk> {
  const reader = stream.getReader();
  let held: UIMessageChunk[] = [];
  let isEmpty = true;
  let hasFailed = false;
  let isStopped = false;
  /** The SDK reads no further than an error. */
  let isMissingContent = false;
  let isCancelled = false;

  /** The chunks that the page gets instead of this one. */
  function pass(chunk: UIMessageChunk): UIMessageChunk[] {
    if (chunk.type === "start" && chunk.messageId !== undefined) onMessageId(chunk.messageId);
    isStopped ||= chunk.type === "abort";
    isMissingContent ||= hasFailed && !isBeforeContent(chunk) && !isBesideContent(chunk);
    hasFailed ||= chunk.type === "error";
    if (!isEmpty) return [chunk];
    if (isBeforeContent(chunk)) {
      held.push(chunk);
      return [];
    }
    if (isBesideContent(chunk)) return [withoutMetadata(chunk)];
    const start = held;
    held = [];
    isEmpty = false;
    return [...start, chunk];
  }

  async function read(): Promise<UIMessageChunk[] | undefined> {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        // Also a read that was cancelled ends like this.
        if (!isCancelled || hasFailed) onComplete({ isShown: !isEmpty && !isMissingContent });
        onEnd();
        return undefined;
      }
      const chunks = pass(value);
      if (chunks.length > 0) return chunks;
    }
  }

  return new ReadableStream<UIMessageChunk>({
    async pull(controller) {
      try {
        const chunks = await read();
        if (isCancelled) return;
        if (!chunks) return isStopped || (isEmpty && !isOwnMessage) ? controller.error(aborted()) : controller.close();
        for (const chunk of chunks) controller.enqueue(chunk);
      } catch (error) {
        controller.error(signal.aborted ? error : lostConnection(error));
        onEnd();
      }
    },
    async cancel(reason) {
      isCancelled = true;
      // The server saves the answer at the end of the stream.
      if (hasFailed) return void drain();
      onEnd();
      await reader.cancel(reason);
    },
  });

  async function drain(): Promise<void> {
    try {
      while (await read());
    } catch {
      onEnd();
    }
  }
}

/** The SDK knows an abort by this name. */
const aborted = () => new DOMException("Stopped.", "AbortError");

/** Chunks that add nothing yet to what the page shows. */
function isBeforeContent(chunk: UIMessageChunk): boolean {
  switch (chunk.type) {
    case "start":
    case "start-step":
    case "finish-step":
    case "message-metadata":
    case "text-start":
    case "text-end":
    case "reasoning-start":
    case "reasoning-end":
      return true;
    case "text-delta":
    case "reasoning-delta":
      return chunk.delta === "";
    default:
      return false;
  }
}

/** Chunks that are no part of the message. */
const isBesideContent = (chunk: UIMessageChunk): boolean =>
  chunk.type === "error" ||
  chunk.type === "abort" ||
  chunk.type === "finish" ||
  ("transient" in chunk && chunk.transient === true);

/** With metadata, the SDK would show a message. */
const withoutMetadata = (chunk: UIMessageChunk): UIMessageChunk =>
  chunk.type === "finish" ? { ...chunk, messageMetadata: undefined } : chunk;

import { heartbeatInterval } from "../conversation/turn-liveness.ts";
import { createEventBuffer } from "./sse-events.ts";
import type { HeartbeatResult } from "./turn-queries.ts";

/** Milliseconds between two pieces. Bounds how much is lost if the process dies, and how long a stop request takes. */
const flushInterval = 250;
/** UTF-16 units that are written without waiting for the interval. */
const flushSize = 32_000;
/** UTF-16 units in the buffer at which the recorder gives up: the database does not keep up with the stream. */
const maxBuffered = 4_000_000;
/** Milliseconds that the end of a turn waits for the rest of its recording. */
const settleTimeout = 1_000;
/** How often the last piece is tried once the stream is over. */
const maxLastAttempts = 3;

/** The recording of one turn's stream. It never delays the stream, and what fails here fails here alone. */
export interface Recording {
  /** Reads the stream to its end, and resolves then, whatever happens. */
  consume(options: { stream: ReadableStream<string> }): Promise<void>;
  /** Whether somebody has asked for a recording. */
  hasBegun(): boolean;
  /** Resolves when all that was said is written, or when that takes too long. */
  settle(): Promise<void>;
  /** The turn has ended, one way or the other. */
  close(): void;
}

/**
 * @param write - writes the next piece, or gives a sign of life if there is none; without a position, whatever is recorded.
 * @param abortTurn - called when the answer is not wanted any more.
 */
export function recordTurn(
  write: (position: number | undefined, text: string | undefined) => Promise<HeartbeatResult>,
  abortTurn: () => void,
): Recording {
  const events = createEventBuffer();
  /** The stream ends where it does because it broke, or because the answer is not wanted any more. */
  let isCutOff = false;
  const abort = () => {
    isCutOff = true;
    abortTurn();
  };
  /** What is given up is not recorded any further. The turn goes on, gives signs of life, and hears of a stop. */
  let state: "not begun" | "recording" | "given up" | "closed" = "not begun";
  let hasBegun = false;
  let isStreamOver = false;
  /** Whether what there is does not wait for the interval: the beginning, for who loads the page again at once. */
  let flushNow = true;
  let position = 0;
  /** A piece that may have been written already stays as it is until that is known. */
  let inFlight: string | undefined;
  let failures = 0;
  let wake = () => {};
  const onFlushed: (() => void)[] = [];

  const isAllWritten = () => state === "given up" || (inFlight === undefined && events.count() === 0);
  const pause = (milliseconds: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  const flushSoon = () => {
    flushNow = true;
    wake();
  };

  function delay(): number {
    if (failures > 0) return backoff(failures);
    if (isAllWritten()) return heartbeatInterval;
    return flushNow ? 0 : flushInterval;
  }

  async function keepWriting(): Promise<void> {
    let last = performance.now();
    while (state !== "closed" && !(isStreamOver && isAllWritten())) {
      const wait = last + delay() - performance.now();
      if (wait > 0) {
        // Something may come meanwhile that is due earlier.
        await pause(wait);
        continue;
      }
      try {
        if (state === "given up") applyHeartbeat(await write(undefined, undefined));
        else {
          if (events.count() > 0) inFlight ??= events.take();
          applyHeartbeat(await write(position, inFlight));
          if (inFlight !== undefined) position++;
          inFlight = undefined;
        }
        failures = 0;
      } catch {
        failures++;
        if (isStreamOver && failures >= maxLastAttempts) state = "closed";
      }
      last = performance.now();
      flushNow = events.size() > flushSize;
      for (const resolve of onFlushed.splice(0)) resolve();
    }
    state = "closed";
    for (const resolve of onFlushed.splice(0)) resolve();
  }

  /** What cannot be read is not recorded, but has to be taken off the stream all the same, or that stands still. */
  function take(piece: string): void {
    const wasEmpty = isAllWritten();
    try {
      events.add(piece);
    } catch {
      giveUp();
    }
    if (state === "recording" && events.size() > maxBuffered && events.count() !== 1) giveUp();
    if (events.size() > flushSize) flushSoon();
    else if (wasEmpty) wake();
  }

  function applyHeartbeat({ owned, exists, running, stop, superseded }: HeartbeatResult): void {
    // This turn has ended by itself, while the heartbeat was under way.
    if (state === "closed") return;
    const isUnwanted = !owned || !exists || superseded;
    if (isUnwanted || stop) abort();
    if (isUnwanted) state = "closed";
    else if (!running) giveUp();
  }

  /** Postgres has lost a piece of the recording, or it is too large. */
  function giveUp(): void {
    state = state === "recording" ? "given up" : "closed";
    // What waits would only keep memory.
    events.take();
    inFlight = undefined;
  }

  return {
    async consume({ stream }) {
      const isFirst = state === "not begun";
      hasBegun ||= isFirst;
      if (isFirst) state = "recording";
      const writing = isFirst ? keepWriting() : undefined;
      try {
        const reader = stream.getReader();
        for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
          if (!isFirst || state !== "recording") continue;
          take(piece.value);
        }
      } catch {
        // A stream that broke has ended, too.
        isCutOff ||= isFirst;
      }
      if (isFirst && !isCutOff) events.end();
      isStreamOver ||= isFirst;
      flushSoon();
      await writing;
    },

    hasBegun: () => hasBegun,

    async settle() {
      if (state !== "recording") return;
      const deadline = performance.now() + settleTimeout;
      // The SDK calls while its last chunks are on their way here.
      for (let tick = 0; tick < 20 && !events.hasEnded() && !isStreamOver; tick++) await sleep(0);
      // A stream that was cut off says so itself, with a chunk, or else its readers must not take it for one that is over.
      if (!isCutOff) events.end();
      while (state === "recording" && !isAllWritten() && performance.now() < deadline) {
        const written = new Promise<void>((resolve) => onFlushed.push(resolve));
        flushSoon();
        await Promise.race([written, sleep(deadline - performance.now())]);
      }
    },

    close() {
      state = "closed";
      wake();
    },
  };
}

const backoff = (failures: number) => Math.min(100 * 2 ** (failures - 1), 2_000);
const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

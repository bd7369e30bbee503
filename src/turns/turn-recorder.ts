import { heartbeatInterval } from "../conversation/turn-liveness.ts";
import { sleep } from "./sleep.ts";
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
/** How often the last piece is tried after the stream has ended. */
const maxLastAttempts = 3;

/** Records the stream of one turn. It never delays the stream, and a failure ends only the recording. */
export interface TurnRecorder {
  /** Reads the stream to its end. Never rejects. */
  consume(options: { stream: ReadableStream<string> }): Promise<void>;
  /** Whether `consume` was called before the turn ended. */
  hasBegun(): boolean;
  /** Resolves when the whole stream so far is recorded, or when that takes too long. */
  settle(): Promise<void>;
  /** Stops recording and heartbeats, because the turn has ended. */
  close(): void;
}

/**
 * @param write - writes a heartbeat, and the piece `text` if there is one. `position` is how many pieces are recorded
 * before; a recorder that has given up passes none.
 * @param abortTurn - called when the answer is not wanted any more.
 */
export function createTurnRecorder(
  write: (position: number | undefined, text: string | undefined) => Promise<HeartbeatResult>,
  abortTurn: () => void,
): TurnRecorder {
  const buffer = createEventBuffer();
  /** After giving up, nothing is recorded, but heartbeats go on: they tell the turn of stop requests. */
  let state: "not begun" | "recording" | "given up" | "closed" = "not begun";
  let hasBegun = false;
  let hasStreamEnded = false;
  /** The stream ends early, because it broke or the answer is not wanted any more. */
  let isCutOff = false;
  let position = 0;
  /** A failed write may have taken effect, so its piece is sent again unchanged until a write succeeds. */
  let inFlight: string | undefined;
  let failures = 0;
  /** The next piece does not wait for the interval. Nor does the first, for pages that are reloaded at once. */
  let flushNow = true;
  let wake = () => {};
  const onFlushed: (() => void)[] = [];

  const isAllWritten = () => state === "given up" || (inFlight === undefined && buffer.count() === 0);

  function flushSoon(): void {
    flushNow = true;
    wake();
  }

  function delay(): number {
    if (failures > 0) return backoff(failures);
    if (isAllWritten()) return heartbeatInterval;
    return flushNow ? 0 : flushInterval;
  }

  async function keepWriting(): Promise<void> {
    let writtenAt = performance.now();
    while (state !== "closed" && !(hasStreamEnded && isAllWritten())) {
      const wait = writtenAt + delay() - performance.now();
      if (wait > 0) {
        // What wakes it may be due earlier than what it waits for.
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, wait);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
        continue;
      }
      try {
        await writeNext();
        failures = 0;
      } catch {
        failures++;
        if (hasStreamEnded && failures >= maxLastAttempts) state = "closed";
      }
      writtenAt = performance.now();
      flushNow = buffer.size() > flushSize;
      for (const resolve of onFlushed.splice(0)) resolve();
    }
    state = "closed";
    for (const resolve of onFlushed.splice(0)) resolve();
  }

  async function writeNext(): Promise<void> {
    if (state === "given up") return applyHeartbeat(await write(undefined, undefined));
    if (buffer.count() > 0) inFlight ??= buffer.take();
    applyHeartbeat(await write(position, inFlight));
    if (inFlight !== undefined) position++;
    inFlight = undefined;
  }

  function applyHeartbeat({ owned, exists, running, stop, superseded }: HeartbeatResult): void {
    // The turn has ended while the heartbeat was under way.
    if (state === "closed") return;
    const isUnwanted = !owned || !exists || superseded;
    if (isUnwanted || stop) {
      isCutOff = true;
      abortTurn();
    }
    if (isUnwanted) state = "closed";
    else if (!running) giveUp();
  }

  function record(piece: string): void {
    const wasAllWritten = isAllWritten();
    try {
      buffer.add(piece);
    } catch {
      // An event that is no JSON.
      giveUp();
    }
    if (state === "recording" && buffer.size() > maxBuffered && buffer.count() !== 1) giveUp();
    if (buffer.size() > flushSize) flushSoon();
    else if (wasAllWritten) wake();
  }

  /** Also called if Postgres has lost a piece of the recording. */
  function giveUp(): void {
    state = state === "recording" ? "given up" : "closed";
    // Frees the memory.
    buffer.take();
    inFlight = undefined;
  }

  return {
    async consume({ stream }) {
      // A second stream of the turn is not recorded, but it would stand still if it was not read.
      if (state !== "not begun") return void (await readAll(stream, () => {}));
      state = "recording";
      hasBegun = true;
      const writing = keepWriting();
      const outcome = await readAll(stream, (piece) => {
        // After giving up, the rest of the stream is only read.
        if (state === "recording") record(piece);
      });
      isCutOff ||= outcome === "broken";
      if (!isCutOff) buffer.end();
      hasStreamEnded = true;
      flushSoon();
      await writing;
    },

    hasBegun: () => hasBegun,

    async settle() {
      if (state !== "recording") return;
      const deadline = performance.now() + settleTimeout;
      // The SDK calls `onEnd` while its last chunks are still on their way here.
      for (let tick = 0; tick < 20 && !buffer.hasEnded() && !hasStreamEnded; tick++) await sleep(0);
      // Without the marker, readers take a stream for interrupted unless a chunk ends it.
      if (!isCutOff) buffer.end();
      while (state === "recording" && !isAllWritten() && performance.now() < deadline) {
        const flushed = new Promise<void>((resolve) => onFlushed.push(resolve));
        flushSoon();
        await Promise.race([flushed, sleep(deadline - performance.now())]);
      }
    },

    close() {
      state = "closed";
      wake();
    },
  };
}

async function readAll(stream: ReadableStream<string>, onPiece: (piece: string) => void): Promise<"ended" | "broken"> {
  try {
    const reader = stream.getReader();
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) onPiece(piece.value);
    return "ended";
  } catch {
    return "broken";
  }
}

const backoff = (failures: number) => Math.min(100 * 2 ** (failures - 1), 2_000);

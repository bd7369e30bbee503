import { expect, onTestFinished, test, vi } from "vitest";
import { hasStreamEnd, parseStreamChunks, toSseEvent } from "../../src/turns/sse-events.ts";
import type { HeartbeatResult } from "../../src/turns/turn-queries.ts";
import { createTurnRecorder } from "../../src/turns/turn-recorder.ts";

const fine: HeartbeatResult = { owned: 1, exists: 1, running: 1, stop: 0, superseded: 0 };
const start = { type: "start", messageId: "a1" };
const delta = (text: string) => ({ type: "text-delta", id: "1", delta: text });
const streamOf = (chunks: object[]) => ReadableStream.from(chunks.map(toSseEvent));

/** What the table does: a piece counts once, at its place, and what comes after a place that is not there does not. */
function table() {
  const pieces: string[] = [];
  return {
    pieces,
    write: async (position: number | undefined, text: string | undefined): Promise<HeartbeatResult> => {
      if (position === undefined) return fine;
      if (text === undefined) return { ...fine, running: position === pieces.length ? 1 : 0 };
      if (position !== pieces.length && position !== pieces.length - 1) return { ...fine, running: 0 };
      if (position === pieces.length) pieces.push(text);
      return fine;
    },
  };
}

test("the recorder packs a thousand words into a few small pieces, which read back to the same text", async () => {
  const { pieces, write } = table();
  const words = Array.from({ length: 1_000 }, (_, index) => delta(`w${index} `));
  const chunks = [start, { type: "text-start", id: "1" }, ...words, { type: "text-end", id: "1" }, { type: "finish" }];
  const recorder = createTurnRecorder(write, () => expect.fail("nothing to abort"));
  await recorder.consume({ stream: streamOf(chunks) });
  const size = (texts: string[]) => texts.join("").length;
  expect(pieces.length).toBeLessThan(10);
  expect(size(pieces)).toBeLessThan(size(chunks.map(toSseEvent)) / 6);
  expect(parseStreamChunks(pieces)).toEqual([
    start,
    { type: "text-start", id: "1" },
    delta(words.map((word) => word.delta).join("")),
    { type: "text-end", id: "1" },
    { type: "finish" },
  ]);
});

test("the recorder merges only deltas of one kind, and joins characters that were split between two", async () => {
  const { pieces, write } = table();
  const chunks = [
    delta("\ud83d"),
    delta("\ude00 \u0000"),
    { ...delta("signed"), providerMetadata: {} },
    { ...delta("other"), id: "2" },
    { type: "reasoning-delta", id: "2", delta: "hm" },
    { type: "tool-input-delta", toolCallId: "t", inputTextDelta: '{"a' },
    { type: "tool-input-delta", toolCallId: "t", inputTextDelta: '":1}' },
  ];
  await createTurnRecorder(write, () => {}).consume({ stream: streamOf(chunks) });
  expect(parseStreamChunks(pieces)).toEqual([
    delta("😀 \u0000"),
    ...chunks.slice(2, 5),
    { type: "tool-input-delta", toolCallId: "t", inputTextDelta: '{"a":1}' },
  ]);
  expect(pieces.join("")).not.toMatch(/[\0\ud83d]/);
});

test("the recorder drops comments and the end mark, puts its own in that one's place, and takes events in any pieces", async () => {
  const { pieces, write } = table();
  const text = [": hello\n\n", toSseEvent(start), toSseEvent(delta("word")), "data: [DONE]\n\n"].join("");
  await createTurnRecorder(write, () => {}).consume({ stream: ReadableStream.from(text.split("")) });
  expect(pieces.join("")).toBe(`${toSseEvent(start)}${toSseEvent(delta("word"))}: over\n\n`);
});

const over = ": over\n\n";
test.each([
  { kind: "that says so itself", chunks: [start, { type: "finish" }], ends: false },
  { kind: "that does not say so", chunks: [start, delta("word")], ends: true },
])("the recorder notes once that a stream $kind is over, when its answer is to be saved", async ({ chunks, ends }) => {
  const { pieces, write } = table();
  const { readable, writable } = new TransformStream<string, string>();
  const recorder = createTurnRecorder(write, () => {});
  const consumed = recorder.consume({ stream: readable });
  const writer = writable.getWriter();
  for (const chunk of chunks) await writer.write(toSseEvent(chunk));
  // The SDK closes its stream when the answer is saved.
  await recorder.settle();
  expect(pieces.join("")).toBe(chunks.map(toSseEvent).join("") + (ends ? over : ""));
  expect(pieces.some(hasStreamEnd)).toBe(true);
  recorder.close();
  await writer.close();
  await consumed;
  expect(pieces.join("").split(over)).toHaveLength(ends ? 2 : 1);
});

test.each([
  { did: "broke", beat: fine, end: (writer: WritableStreamDefaultWriter) => writer.abort(new Error("gone")) },
  {
    did: "was stopped",
    beat: { ...fine, stop: 1 as const },
    end: (writer: WritableStreamDefaultWriter) => writer.close(),
  },
])("the recorder does not take a stream that $did for one that is over", async ({ beat, end }) => {
  const { pieces, write } = table();
  const { readable, writable } = new TransformStream<string, string>();
  let isAborted = false;
  const recorder = createTurnRecorder(
    async (position, text) => ({ ...(await write(position, text)), stop: beat.stop }),
    () => {
      isAborted = true;
    },
  );
  const consumed = recorder.consume({ stream: readable });
  const writer = writable.getWriter();
  await writer.write(toSseEvent(delta("word")));
  await expect.poll(() => pieces.length).toBe(1);
  await end(writer);
  await recorder.settle();
  await consumed;
  expect(isAborted).toBe(beat.stop === 1);
  expect(pieces.some(hasStreamEnd)).toBe(false);
});

test.each(["before", "after"])(
  "the table holds each piece once, in order, when writes fail %s they take effect",
  async (when) => {
    const { pieces, write } = table();
    let count = 0;
    const failing = async (position: number | undefined, text: string | undefined) => {
      const fails = count++ % 3 === 0;
      if (fails && when === "before") throw new Error("broken");
      const beat = await write(position, text);
      if (fails) throw new Error("broken");
      return beat;
    };
    const { readable, writable } = new TransformStream<string, string>();
    const recorder = createTurnRecorder(failing, () => {});
    const consumed = recorder.consume({ stream: readable });
    const writer = writable.getWriter();
    const words = Array.from({ length: 40 }, (_, index) => delta(`w${index} `));
    for (const word of words) {
      await writer.write(toSseEvent(word));
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    await writer.close();
    await consumed;
    expect(pieces.length).toBeGreaterThan(2);
    expect(parseStreamChunks(pieces)).toEqual([delta(words.map((word) => word.delta).join(""))]);
  },
);

test("a database that never answers delays the end of a stream by one second, and nothing else", async () => {
  const recorder = createTurnRecorder(
    () => new Promise(() => {}),
    () => {},
  );
  let drained = false;
  const long = delta("x".repeat(100_000));
  // Not so much that it would be given up.
  const stream = streamOf([...Array.from({ length: 30 }, () => long), { type: "finish" }]).pipeThrough(
    new TransformStream({
      flush: () => {
        drained = true;
      },
    }),
  );
  void recorder.consume({ stream });
  await expect.poll(() => drained).toBe(true);
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  let isSettled = false;
  const settled = recorder.settle().then(() => {
    isSettled = true;
  });
  await vi.advanceTimersByTimeAsync(990);
  expect(isSettled).toBe(false);
  await vi.advanceTimersByTimeAsync(20);
  expect(isSettled).toBe(true);
  await settled;
});

test("the recorder stops retrying when the stream has ended and the database stays away", async () => {
  await createTurnRecorder(
    () => Promise.reject(new Error("away")),
    () => expect.fail("nothing to abort"),
  ).consume({ stream: streamOf([start]) });
});

test("the recorder gives up when too much text waits for the database, and writes no more", async () => {
  const { pieces, write } = table();
  let isAway = true;
  const recorder = createTurnRecorder(
    async (...piece) => (isAway ? Promise.reject(new Error("away")) : write(...piece)),
    () => expect.fail("nothing to abort"),
  );
  const { readable, writable } = new TransformStream<string, string>();
  const consumed = recorder.consume({ stream: readable });
  const writer = writable.getWriter();
  for (let megabyte = 0; megabyte < 6; megabyte++) await writer.write(toSseEvent(delta("x".repeat(1_000_000))));
  isAway = false;
  await writer.write(toSseEvent(delta("word")));
  await writer.close();
  await consumed;
  expect(pieces).toHaveLength(0);
});

test("a recorder that has given up keeps its heartbeat and hears a stop", async () => {
  const { pieces, write } = table();
  let isStopped = false;
  const recorder = createTurnRecorder(
    async (position, text) => ({ ...(await write(position, text)), stop: isStopped ? 1 : 0 }),
    () => void writer.close(),
  );
  const { readable, writable } = new TransformStream<string, string>();
  const writer = writable.getWriter();
  const consumed = recorder.consume({ stream: readable });
  await writer.write(toSseEvent(start));
  await expect.poll(() => pieces.length).toBe(1);
  pieces.length = 0;
  await writer.write(toSseEvent(delta("word")));
  isStopped = true;
  await consumed;
  expect(pieces).toEqual([]);
  expect(recorder.hasBegun()).toBe(true);
});

test("an unreadable event ends the recording, and the stream goes on", async () => {
  const { pieces, write } = table();
  let drained = false;
  const stream = ReadableStream.from([toSseEvent(start), "data: {broken\n\n", toSseEvent(delta("word"))]).pipeThrough(
    new TransformStream({
      flush: () => {
        drained = true;
      },
    }),
  );
  await createTurnRecorder(write, () => expect.fail("nothing to abort")).consume({ stream });
  expect(drained).toBe(true);
  expect(pieces.join("")).not.toContain("word");
});

test.each<[string, Partial<HeartbeatResult>, boolean]>([
  ["the chat is gone", { owned: 0, running: 0 }, true],
  ["a caller asks it to stop", { stop: 1 }, true],
  ["a newer turn has come", { superseded: 1 }, true],
  ["another process took it for dead", { running: 0 }, false],
])("when %s (%o), the turn aborts: %s", async (_, beat, aborts) => {
  let isAborted = false;
  const recorder = createTurnRecorder(
    async () => ({ ...fine, ...beat }),
    () => {
      isAborted = true;
    },
  );
  await recorder.consume({ stream: streamOf([start]) });
  expect(isAborted).toBe(aborts);
});

test("a recording that gets no stream has not begun when the turn ends", async () => {
  const recorder = createTurnRecorder(table().write, () => {});
  await recorder.settle();
  recorder.close();
  expect(recorder.hasBegun()).toBe(false);
});

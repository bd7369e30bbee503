import * as ai from "ai";
import * as ai5 from "ai5";
import * as ai6 from "ai6";
import { describe, expect, test } from "vitest";
import { assemble } from "../../src/turns/assemble.ts";
import { toSseEvent } from "../../src/turns/sse-events.ts";

const base: ai.UIMessage = { id: "a1", role: "assistant", parts: [] };
const start = { type: "start", messageId: "a1" };
const text = (delta: string) => [
  { type: "text-start", id: "1" },
  { type: "text-delta", id: "1", delta },
  { type: "text-end", id: "1" },
];
const call = (id: string, output: unknown) => [
  { type: "start-step" },
  { type: "tool-input-start", toolCallId: id, toolName: "read" },
  { type: "tool-input-delta", toolCallId: id, inputTextDelta: '{"url":"x"}' },
  { type: "tool-input-available", toolCallId: id, toolName: "read", input: { url: "x" } },
  { type: "tool-output-available", toolCallId: id, output },
  { type: "finish-step" },
];

/** A recording of a piece for each chunk, in pages of a hundred. */
const recordingOf = (chunks: object[]) =>
  async function* () {
    for (let at = 0; at < chunks.length; at += 100) yield chunks.slice(at, at + 100).map(toSseEvent);
  };

const sdks = [
  { name: "ai 5", sdk: ai5 as unknown as typeof ai },
  { name: "ai 6", sdk: ai6 as unknown as typeof ai },
  { name: "ai 7", sdk: ai },
];

describe.each(sdks)("A recording with $name", ({ sdk }) => {
  const assembled = (chunks: object[], from = base) => assemble(from, recordingOf(chunks), sdk);

  test("becomes the message that its client would show", async () => {
    const chunks = [start, ...text("Let me see. "), ...call("t1", [1]), ...text("Done."), { type: "finish" }];
    let shown: ai.UIMessage | undefined;
    const stream = ReadableStream.from(chunks) as ReadableStream<ai.UIMessageChunk>;
    for await (const next of sdk.readUIMessageStream({ stream })) shown = next;
    expect(await assembled(chunks)).toEqual({ message: shown, isFinished: true });
  });

  test("goes on from the message that it continues", async () => {
    const continued = { ...base, parts: [{ type: "text" as const, text: "May I? " }] };
    const { message, isFinished } = await assembled([start, ...text("Done.")], continued);
    expect(message.parts).toMatchObject([{ text: "May I? " }, { text: "Done." }]);
    expect(isFinished).toBe(false);
    expect(continued.parts).toHaveLength(1);
  });

  test.each([1, 2, 3, 50])("becomes a message up to a chunk that does not fit, after %i texts", async (count) => {
    const said = Array.from({ length: count }, (_, index) => text(`${index} `)).flat();
    const lost = { type: "text-delta", id: "lost", delta: "x" };
    const { message, isFinished } = await assembled([start, ...said, lost, ...text("after"), { type: "finish" }]);
    expect(message.parts.map((part) => "text" in part && part.text)).toEqual(said.flatMap(({ delta }) => delta ?? []));
    expect(isFinished).toBe(false);
  });

  test("is not taken for whole when it cannot be read to its end", async () => {
    const broken = async function* () {
      yield [start, ...text("The ")].map(toSseEvent);
      throw new Error("connection lost");
    };
    await expect(assemble(base, broken, sdk)).rejects.toThrow("connection lost");
  });

  test("takes time that grows with its length, and not with the square of it", async () => {
    const timeOf = async (calls: number) => {
      const chunks = Array.from({ length: calls }, (_, index) => call(`t${index}`, { page: "x".repeat(1_000) })).flat();
      // Of the processor: on the clock, all that others do on this machine would count, too.
      const began = process.cpuUsage();
      const { message } = await assembled([start, ...chunks]);
      const { user, system } = process.cpuUsage(began);
      expect(message.parts).toHaveLength(2 * calls);
      return user + system;
    };
    await timeOf(200);
    const [short, long] = [await timeOf(200), await timeOf(2_000)];
    // Ten times as many: with a copy for each chunk it would be a hundred.
    expect(long / short).toBeLessThan(40);
  });

  test("leaves time for others while it is put together", async () => {
    const chunks = Array.from({ length: 2_000 }, (_, index) => call(`t${index}`, { page: "x".repeat(5_000) })).flat();
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const began = performance.now();
    await assembled([start, ...chunks]);
    clearInterval(timer);
    // A timer would not run at all while one chunk follows the other.
    expect(turns).toBeGreaterThan((performance.now() - began) / 100);
  });
});

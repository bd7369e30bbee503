/** A process that answers three questions at once, tells its parent what it has sent, and is killed in the middle of it. */
import { setTimeout as sleep } from "node:timers/promises";
import { convertToModelMessages, createUIMessageStreamResponse, streamText, toUIMessageStream } from "ai";
import { MockLanguageModelV4 } from "ai/test";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { z } from "zod";
import { createChatStore } from "../../../src/store.ts";
import { say } from "../conversations.ts";
import { createRandom } from "../random.ts";

export interface SpeakerOptions {
  url: string;
  /** Of one user "u". The last one calls a tool that does not come back. */
  chatIds: string[];
  seed: number;
}

/** A piece of an answer that has been sent to the browser, and when. */
export interface Said {
  chatId: string;
  text: string;
  at: number;
}

const { url, chatIds, seed }: SpeakerOptions = JSON.parse(process.argv[2] ?? "");
const random = createRandom(seed);
const pool = new pg.Pool({ connectionString: url, max: 4 });
const store = createChatStore(drizzle(pool));
process.on("disconnect", () => process.exit());

const tools = { wait: { inputSchema: z.object({}), execute: () => sleep(60_000, "done") } };

function model(callsTool: boolean) {
  async function* parts() {
    yield { type: "stream-start", warnings: [] };
    yield { type: "text-start", id: "1" };
    for (let word = 1; word <= (callsTool ? 40 : 10_000); word++) {
      yield { type: "text-delta", id: "1", delta: `word ${word} ` };
      await sleep(random.below(20));
    }
    yield { type: "text-end", id: "1" };
    yield { type: "tool-call", toolCallId: "t1", toolName: "wait", input: "{}" };
    const usage = { inputTokens: { total: 1 }, outputTokens: { total: 1 } };
    yield { type: "finish", finishReason: { unified: "tool-calls", raw: "" }, usage };
  }
  return new MockLanguageModelV4({ doStream: async () => ({ stream: ReadableStream.from(parts()) as never }) });
}

await Promise.all(
  chatIds.map(async (chatId, index) => {
    const turn = await store.startTurn({ userId: "u", chatId, message: say("user", "Why?", "q1") });
    const result = streamText({
      model: model(index === chatIds.length - 1),
      messages: await convertToModelMessages(turn.messages),
      tools,
      abortSignal: turn.abortSignal,
    });
    const response = createUIMessageStreamResponse({
      stream: toUIMessageStream({ stream: result.stream, ...turn.persist }),
      consumeSseStream: turn.consumeSseStream,
    });
    for await (const bytes of response.body ?? []) {
      const [, delta] = /"delta":"([^"]*)"/.exec(new TextDecoder().decode(bytes)) ?? [];
      if (delta) process.send?.({ chatId, text: delta, at: Date.now() } satisfies Said);
    }
  }),
);

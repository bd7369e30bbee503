/** The application around a mount of the docs: what these import from `./chat`. Runs on Node, Bun and Deno. */
import { simulateReadableStream } from "ai";
import { MockLanguageModelV4 } from "ai/test";
import { createChatStore, migrate } from "drizzle-chat-store";
import { drizzle } from "drizzle-orm/node-postgres";

const db = drizzle(process.env.DATABASE_URL ?? "");
await migrate(db);

export const store = createChatStore(db);

export const userIdOf = (request: Request) => request.headers.get("x-user-id");

const usage = {
  inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 1, text: 1, reasoning: 0 },
};
const words = "The moon pulls at the sea, and the sea follows it around the world, twice a day.".split(/(?<= )/);

/** Answers within half a second, word by word. */
export const model = new MockLanguageModelV4({
  doStream: async () => ({
    stream: simulateReadableStream({
      chunkDelayInMs: 500 / words.length,
      chunks: [
        { type: "text-start", id: "1" },
        ...words.map((delta) => ({ type: "text-delta" as const, id: "1", delta })),
        { type: "text-end", id: "1" },
        { type: "finish", finishReason: { unified: "stop", raw: "stop" }, usage },
      ],
    }),
  }),
});

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

/**
 * Answers within half a second, word by word. To "Again?" it says two words for minutes: that answer ends when it is
 * stopped.
 */
export const model = new MockLanguageModelV4({
  doStream: async ({ prompt }) => {
    const isEndless = JSON.stringify(prompt.at(-1)).includes('"Again?"');
    const said = isEndless ? Array<string>(9_000).fill("The moon ") : words;
    return {
      stream: simulateReadableStream({
        chunkDelayInMs: 500 / words.length,
        chunks: [
          { type: "text-start", id: "1" },
          ...said.map((delta) => ({ type: "text-delta" as const, id: "1", delta })),
          { type: "text-end", id: "1" },
          { type: "finish", finishReason: { unified: "stop", raw: "stop" }, usage },
        ],
      }),
    };
  },
});

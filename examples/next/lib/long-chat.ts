import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";
import type { UIMessage } from "ai";
import { migrate } from "drizzle-chat-store";
import { chats } from "drizzle-chat-store/schema";
import { desc } from "drizzle-orm";
import { db, store } from "./store.ts";

// Makes a chat of many messages: npm run long-chat -- [--messages 5000] [--user ID]

const { values } = parseArgs({ options: { messages: { type: "string", default: "5000" }, user: { type: "string" } } });
const count = Number(values.messages);
if (!Number.isInteger(count) || count < 1) throw new Error("--messages is how many: 1 or more.");

await migrate(db);
const userId = values.user ?? (await lastToAsk());
if (userId === undefined) throw new Error("There is no user yet. Ask something in the browser first.");

const chatId = randomUUID();
const title = `A chat of ${count.toLocaleString("en")} messages`;
await store.upsertChat({ userId, chatId, title, messages: Array.from({ length: count }, messageAt) });
console.log(`/?chatId=${chatId}`);
// A pool of connections would keep it waiting.
process.exit();

async function lastToAsk(): Promise<string | undefined> {
  const { userId, updatedAt } = chats;
  const [last] = await db.select({ userId }).from(chats).orderBy(desc(updatedAt)).limit(1);
  return last?.userId;
}

/** Questions and answers in turn, some on one line, some on several. */
function messageAt(_: unknown, index: number): UIMessage {
  const number = Math.floor(index / 2) + 1;
  const isQuestion = index % 2 === 0;
  const lines = Array.from(
    { length: number % 4 },
    (_, line) => `- ${line + 2} times that: ${(line + 2) * number ** 2}`,
  );
  const answer = [`${number} times ${number} is **${number ** 2}**.`, lines.join("\n")].join("\n\n").trim();
  const text = isQuestion ? `Question ${number}: what is ${number} times ${number}?` : answer;
  return {
    id: `${isQuestion ? "question" : "answer"}-${number}`,
    role: isQuestion ? "user" : "assistant",
    parts: [{ type: "text", text }],
  };
}

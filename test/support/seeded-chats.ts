import { randomUUID } from "node:crypto";
import { PGlite } from "@electric-sql/pglite";
import type { UIMessage } from "ai";
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/pglite";
import { createChatStore } from "../../src/index.ts";
import { chats as table } from "../../src/schema.ts";

/** A chat that no browser could have made: very long, of another day, or with parts of every kind. */
export interface SeededChat {
  userId: string;
  title: string;
  messages: UIMessage[];
  /** Default: now. */
  updatedAt?: Date;
}

/** Stores chats in an embedded database that no other process has open. Resolves to their paths in the Next example. */
export async function seedChats(folder: string, chats: SeededChat[]): Promise<string[]> {
  const client = await PGlite.create(folder);
  const db = drizzle(client);
  const store = createChatStore(db);
  const paths: string[] = [];
  for (const { userId, title, messages, updatedAt } of chats) {
    const chatId = randomUUID();
    await store.upsertChat({ userId, chatId, title, messages });
    if (updatedAt) await db.update(table).set({ updatedAt, createdAt: updatedAt }).where(eq(table.id, chatId));
    paths.push(`/?chatId=${chatId}`);
  }
  await client.close();
  return paths;
}

export const textMessage = (id: string, role: "user" | "assistant", text: string): UIMessage => ({
  id,
  role,
  parts: [{ type: "text", text }],
});

/** Questions and answers in turn, some on one line, some on several. */
export const longChat = (userId: string, count: number): SeededChat => ({
  userId,
  title: `A chat of ${count.toLocaleString("en")} messages`,
  messages: Array.from({ length: count }, (_, index) => {
    const number = Math.floor(index / 2) + 1;
    if (index % 2 === 0) {
      return textMessage(`question-${number}`, "user", `Question ${number}: what is ${number} times ${number}?`);
    }
    const lines = Array.from(
      { length: number % 4 },
      (_, line) => `- ${line + 2} times that: ${(line + 2) * number ** 2}`,
    );
    const text = `${number} times ${number} is **${number ** 2}**.\n\n${lines.join("\n")}`.trim();
    return textMessage(`answer-${number}`, "assistant", text);
  }),
});

export const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000);

/** A chat of each of these days before today, and then 36 of the months before. */
export const chatsOfManyDays = (userId: string): SeededChat[] =>
  [1, 5, 20, ...Array.from({ length: 36 }, (_, index) => 40 + index)].map((days) => ({
    userId,
    title: `${days} days ago`,
    messages: [textMessage("asked", "user", `What happened ${days} days ago?`)],
    updatedAt: daysAgo(days),
  }));

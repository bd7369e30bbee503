import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { styleText } from "node:util";
import { PGlite } from "@electric-sql/pglite";
import type { UIMessage } from "ai";
import { convertToModelMessages, generateId, simulateReadableStream, streamText, toUIMessageStream } from "ai";
import { MockLanguageModelV4 } from "ai/test";
import { ChatOwnershipError, createChatStore, migrate } from "drizzle-chat-store";
import { drizzle } from "drizzle-orm/pglite";

/** Questions, and what the model is going to say. Every run takes the next conversation. */
const conversations: Record<string, string>[] = [
  {
    "Why is it called PostgreSQL?": "It came after Ingres, at Berkeley in 1986. SQL joined the name in 1996.",
    "And the elephant?": "That is Slonik. The name is Russian for little elephant.",
  },
  {
    "How can I read a row while you change it?": "I write a new version of it, and you read the old one.",
    "What becomes of the old versions?": "VACUUM clears them away once no transaction can see them any more.",
  },
  {
    "Why are messages kept as json, not jsonb?": "json keeps its text. jsonb reorders keys and refuses NULs.",
    "When is jsonb the better one?": "When you search inside it: it is parsed only once, and can be indexed.",
  },
];

const dataDir = process.env.DATA_DIR || fileURLToPath(new URL("../.data/demo", import.meta.url));
const userId = "ada";
const chatId = randomUUID();

heading("Starting Postgres (PGlite), which takes a few seconds");
say("folder", dataDir);
let { client, store } = await open();
const earlierChats = await store.getChats({ userId });

heading("A conversation, saved as it goes");
const conversation = conversations[earlierChats.length % conversations.length] ?? {};
for (const [question, answer] of Object.entries(conversation)) await takeTurn(question, answer);

heading("A stranger tries the same chat id");
await intrude({ userId: "mallory", chatId });

heading("The database is closed and opened again: the chats, newest first");
await client.close();
({ client, store } = await open());
await showChats();

heading("What getChat gives back");
await showConversation();
await client.close();

heading("Run it again and the list grows. To start over, delete the folder.");

async function open() {
  await mkdir(dataDir, { recursive: true });
  const client = await PGlite.create(dataDir);
  const db = drizzle(client);
  await migrate(db);
  return { client, store: createChatStore(db) };
}

/** What a route handler does with a question. */
async function takeTurn(question: string, answer: string) {
  say(userId, question);
  const message: UIMessage = { id: generateId(), role: "user", parts: [{ type: "text", text: question }] };
  const turn = await store.startTurn({ userId, chatId, message, title: question });

  const result = streamText({ model: modelThatSays(answer), messages: await convertToModelMessages(turn.messages) });
  const stream = toUIMessageStream({ stream: result.stream, ...turn.persist });

  process.stdout.write(beside("assistant"));
  for await (const chunk of stream) {
    if (chunk.type === "text-delta") process.stdout.write(chunk.delta);
    if (chunk.type === "text-end") process.stdout.write("\n");
    if (chunk.type === "error") throw new Error(chunk.errorText);
  }

  const saved = await store.getChat({ userId, chatId });
  say("saved", `${saved?.messages.length} messages, version ${saved?.version}`);
}

async function intrude(stranger: { userId: string; chatId: string }) {
  say("getChat", String(await store.getChat(stranger)));
  const error: unknown = await store.upsertChat({ ...stranger, messages: [] }).catch((error: unknown) => error);
  if (!ChatOwnershipError.isInstance(error)) throw new Error("The stranger was not refused.", { cause: error });
  say("upsertChat", `${error.name}: ${error.message}`);
}

async function showChats() {
  for (const { id, title, updatedAt } of await store.getChats({ userId, limit: 10 })) {
    // Sweden writes dates as 2026-01-31 23:59:59.
    say(id === chatId ? "this one" : "", `${updatedAt.toLocaleString("sv-SE")}  ${title}`);
  }
}

async function showConversation() {
  const chat = await store.getChat({ userId, chatId });
  if (!chat) throw new Error("The chat is gone.");
  for (const { role, parts } of chat.messages) {
    say(role, parts.map((part) => (part.type === "text" ? part.text : "")).join(""));
  }
}

/** Needs no key and no network. In your application this is a model of any provider. */
function modelThatSays(text: string) {
  const words = text.split(/(?<= )/).map((delta) => ({ type: "text-delta" as const, id: "1", delta }));
  const inputTokens = { total: undefined, noCache: undefined, cacheRead: undefined, cacheWrite: undefined };
  const outputTokens = { total: undefined, text: undefined, reasoning: undefined };
  return new MockLanguageModelV4({
    doStream: {
      stream: simulateReadableStream({
        chunkDelayInMs: 70,
        chunks: [
          { type: "text-start", id: "1" },
          ...words,
          { type: "text-end", id: "1" },
          { type: "finish", finishReason: { unified: "stop", raw: undefined }, usage: { inputTokens, outputTokens } },
        ],
      }),
    },
  });
}

function heading(text: string) {
  console.log(`\n${style("bold", text)}`);
}

function say(label: string, text: string) {
  process.stdout.write(`${beside(label)}${text}\n`);
}

function beside(label: string) {
  return style("cyan", label.padEnd(12));
}

function style(format: "bold" | "cyan", text: string) {
  return process.stdout.isTTY && !process.env.NO_COLOR ? styleText(format, text) : text;
}

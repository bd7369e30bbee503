import { fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { styleText } from "node:util";
import { PGlite } from "@electric-sql/pglite";
import { getRequestListener } from "@hono/node-server";
import type { UIMessage, UIMessageChunk } from "ai";
import { generateId, simulateReadableStream, streamText } from "ai";
import { MockLanguageModelV4 } from "ai/test";
import { createChatStore, migrate } from "drizzle-chat-store";
import { createChatClient } from "drizzle-chat-store/client";
import { createChatHandler } from "drizzle-chat-store/handler";
import { drizzle } from "drizzle-orm/pglite";

/** Questions, and what the model is going to say. Every run takes the next two. */
const conversations = [
  ["Why is it called PostgreSQL?", "It came after Ingres, at Berkeley in 1986. SQL joined the name in 1996."],
  ["And the elephant?", "That is Slonik. The name is Russian for little elephant, and elephants never forget."],
  ["How can I read a row while you change it?", "I write a new version of it, and you read the old one."],
  ["What becomes of the old versions?", "VACUUM clears them away once no transaction can see them any more."],
  ["Why are messages kept as json, not jsonb?", "json keeps its text. jsonb reorders keys and refuses NULs."],
  ["When is jsonb the better one?", "When you search inside it: it is parsed only once, and can be indexed."],
] as const;

const folder = process.env.DATA_DIR || fileURLToPath(new URL("../.data/demo", import.meta.url));

/** Needs no key and no network. In your application this is a model of any provider. */
const model = new MockLanguageModelV4({
  doStream: async ({ prompt }) => {
    const asked = JSON.stringify(prompt.at(-1)?.content);
    const [, answer = ""] = conversations.find(([question]) => asked.includes(question)) ?? [];
    const words = answer.split(/(?<= )/).map((delta) => ({ type: "text-delta" as const, id: "1", delta }));
    const inputTokens = { total: undefined, noCache: undefined, cacheRead: undefined, cacheWrite: undefined };
    const usage = { inputTokens, outputTokens: { total: undefined, text: undefined, reasoning: undefined } };
    const finish = { type: "finish", finishReason: { unified: "stop", raw: undefined }, usage } as const;
    const chunks = [{ type: "text-start" as const, id: "1" }, ...words, { type: "text-end" as const, id: "1" }, finish];
    return { stream: simulateReadableStream({ chunkDelayInMs: 70, chunks }) };
  },
});

/** The server: all that your application needs for its chats. It runs in a process of its own, which can be killed. */
async function serve() {
  await mkdir(folder, { recursive: true });
  const client = await PGlite.create(folder);
  const db = drizzle(client);
  await migrate(db);
  const chat = createChatHandler({
    store: createChatStore(db),
    userId: () => "ada",
    answer: ({ modelMessages }) => streamText({ model, messages: modelMessages }),
  });
  const server = createServer(getRequestListener(chat)).listen(0, "127.0.0.1");
  server.once("listening", () => process.send?.(server.address()));
  process.once("disconnect", () => client.close().then(() => process.exit()));
}

/** Plays the browser. */
async function demo() {
  heading("A server starts, on an embedded Postgres (PGlite). The first time takes some seconds");
  say("folder", folder);
  let { server, chats } = await startServer();
  const chatId = randomUUID();
  const { chats: earlier } = await chats.list({ limit: 100 });
  const question = (next: number): UIMessage => {
    const [text = ""] = conversations[(2 * earlier.length + next) % conversations.length] ?? [];
    return { id: generateId(), role: "user", parts: [{ type: "text", text }] };
  };
  const [first, second] = [question(0), question(1)];
  const ask = (message: UIMessage, trigger: "submit-message" | "regenerate-message" = "submit-message") => {
    const request = { chatId, trigger, messages: [message], messageId: undefined, abortSignal: undefined };
    return chats.transport().sendMessages(request);
  };

  heading("A question and its answer, both saved");
  say("user", textOf(first));
  await show("assistant", await ask(first));

  heading("The server is killed in the middle of an answer (kill -9)");
  say("user", textOf(second));
  const kill = (words: number) => words === 9 && server.kill("SIGKILL");
  await show("assistant", await ask(second), kill).catch(() => console.log(style("red", "✗ killed")));

  heading("Another server starts. The words are there, and the question is answered again");
  ({ server, chats } = await startServer());
  const recorded = await chats.transport().reconnectToStream({ chatId });
  const enough = new AbortController();
  // The recorded words come at once. Then it waits, because for ten seconds the first server may still be alive.
  const read = (words: number) => words === 1 && setTimeout(() => enough.abort(), 500);
  if (recorded) await show("so far", recorded, read, enough.signal).catch(() => console.log("…"));
  await show("assistant", await ask(second, "regenerate-message"));

  heading("Stored");
  for (const message of (await chats.get(chatId))?.messages ?? []) say(message.role, textOf(message));

  heading("All chats, newest first");
  for (const { id, title, updatedAt } of (await chats.list({ limit: 10 })).chats) {
    // Sweden writes dates as 2026-01-31 23:59.
    const time = updatedAt.toLocaleString("sv-SE", { dateStyle: "short", timeStyle: "short" });
    say(id === chatId ? "new" : "", `${time}  ${title}`);
  }
  server.disconnect();

  heading("Run it again and the list grows. Then see it in the browser:");
  console.log("cd examples/next && npm install && npm run build && npm start");
}

/** Starts this file once more, as a server on the same folder and any free port. */
async function startServer() {
  const server = fork(fileURLToPath(import.meta.url), ["serve"]);
  server.once("exit", (code) => code && process.exit(code));
  const [address] = await once(server, "message");
  return { server, chats: createChatClient({ basePath: `http://127.0.0.1:${address.port}/api/chat` }) };
}

/** Writes the words of an answer as they come. */
async function show(
  label: string,
  stream: ReadableStream<UIMessageChunk>,
  onWord?: (words: number) => unknown,
  until?: AbortSignal,
) {
  process.stdout.write(beside(label));
  let words = 0;
  const write = (chunk: UIMessageChunk) => {
    if (chunk.type === "text-delta") process.stdout.write(chunk.delta);
    if (chunk.type === "text-delta") onWord?.(++words);
    if (chunk.type === "text-end") console.log();
    if (chunk.type === "error") throw new Error(chunk.errorText);
  };
  await stream.pipeTo(new WritableStream({ write }), until && { signal: until });
}

const textOf = ({ parts }: UIMessage) => parts.map((part) => (part.type === "text" ? part.text : "")).join("");

const heading = (text: string) => console.log(`\n${style("bold", text)}`);
const beside = (label: string) => style("cyan", label.padEnd(12));
const say = (label: string, text: string) => console.log(beside(label) + text);
const style = (format: "bold" | "cyan" | "red", text: string) =>
  process.stdout.isTTY && !process.env.NO_COLOR ? styleText(format, text) : text;

await (process.argv[2] === "serve" ? serve() : demo());

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { UIMessage } from "ai";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { Chat, ChatWithMessages } from "../../src/index.ts";
import { TestChat } from "../chat-server.ts";
import { say, textOf } from "../conversations.ts";
import { createDatabase } from "../databases.ts";
import { installExample } from "./install.ts";

let example: string;
let server: Server;

beforeAll(async () => {
  example = await installExample("express");
  server = await start();
});
afterAll(async () => {
  await server?.dispose();
  for (const child of running) kill(child);
});

interface Server {
  url: string;
  pid: number;
  dataDir: string;
  output(): string;
  /** As a process manager would: the signal goes to npm. Resolves to the exit code. */
  stop(): Promise<number | null>;
  /** Leaves no process and no folder behind. */
  dispose(): Promise<void>;
}

/** Those that have not closed their output, so that their process groups are still theirs. */
const running = new Set<ChildProcess>();

/** `npm start` in the example, with nothing of this process's settings. */
async function start(settings: Record<string, string> = {}): Promise<Server> {
  const dataDir = settings.DATA_DIR ?? (await mkdtemp(join(tmpdir(), "express-example-")));
  const { HOST: _, DATABASE_URL: __, OPENAI_API_KEY: ___, NODE_OPTIONS: ____, ...inherited } = process.env;
  const child = spawn("npm", ["start"], {
    cwd: example,
    env: { ...inherited, PORT: "0", DATA_DIR: dataDir, ...settings },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let output = "";
  const dispose = async () => {
    kill(child);
    await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
  };
  const url = await new Promise<string | undefined>((resolve) => {
    const read = (chunk: Buffer) => {
      output += chunk;
      const url = output.match(/Listening on (http:\/\/\S+),/)?.[1];
      if (url) resolve(url);
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    running.add(child);
    child.on("close", () => {
      running.delete(child);
      resolve(undefined);
    });
  });
  if (!url) {
    await dispose();
    throw new Error(output);
  }
  const stop = async () => {
    child.kill("SIGTERM");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    return child.exitCode;
  };
  return { url, pid: child.pid ?? expect.fail(), dataDir, output: () => output, stop, dispose };
}

function kill(child: ChildProcess) {
  if (!child.pid || !running.delete(child)) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // It has just ended by itself.
  }
}

async function startForTest(settings?: Record<string, string>): Promise<Server> {
  const started = await start(settings);
  onTestFinished(() => started.dispose());
  return started;
}

const newUser = () => `user-${randomUUID()}`;
const get = (path: string, userId: string, { url } = server) => fetch(url + path, { headers: { "x-user-id": userId } });
const getJson = async <T>(path: string, userId: string, from = server): Promise<T> => {
  const response = await get(path, userId, from);
  expect(response.status).toBe(200);
  return response.json() as Promise<T>;
};
const getChats = (userId: string, from?: Server) => getJson<Chat[]>("/api/chats", userId, from);
const getChat = (id: string, userId: string, from?: Server) =>
  getJson<ChatWithMessages>(`/api/chats/${id}`, userId, from);
const post = (body: unknown, headers: Record<string, string> = { "x-user-id": "u" }, { url } = server) =>
  fetch(`${url}/api/chat`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
const newChat = (userId: string, { url } = server, init: { id?: string; messages?: UIMessage[] } = {}) =>
  new TestChat({ id: randomUUID(), ...init, url: `${url}/api/chat`, userId });
const asJson = <T>(value: T): T => JSON.parse(JSON.stringify(value));

async function ask(chat: TestChat, text: string) {
  await chat.sendMessage({ text });
  expect(chat.error).toBeUndefined();
}

/** Asks, and goes away as soon as some words have arrived. */
async function askAndLeave(chat: TestChat, text: string): Promise<string> {
  void chat.sendMessage({ text });
  await expect.poll(() => textOf(chat.messages[1])?.length ?? 0, { timeout: 10_000 }).toBeGreaterThan(10);
  await chat.stop();
  return textOf(chat.messages[1]) ?? "";
}

const event = (event: object) => `data: ${JSON.stringify(event)}\n\n`;
/** What OpenAI sends. */
const said = (...texts: string[]) =>
  [
    { type: "response.created", response: { id: "r", created_at: 1, model: "some-model" } },
    { type: "response.output_item.added", output_index: 0, item: { type: "message", id: "m" } },
    ...texts.map((delta) => ({
      type: "response.output_text.delta",
      item_id: "m",
      output_index: 0,
      content_index: 0,
      delta,
    })),
  ]
    .map(event)
    .join("");
const end = [
  { type: "response.output_item.done", output_index: 0, item: { type: "message", id: "m" } },
  { type: "response.completed", response: { usage: { input_tokens: 1, output_tokens: 1 } } },
]
  .map(event)
  .join("");

/** Stands in for OpenAI. Gives the settings of a server that asks it. */
async function startProvider(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const provider = createServer((request, response) => {
    response.setHeader("content-type", "text/event-stream");
    answer(request, response);
  }).listen(0, "127.0.0.1");
  await once(provider, "listening");
  onTestFinished(() => void provider.close().closeAllConnections());
  const { port } = provider.address() as AddressInfo;
  return { OPENAI_API_KEY: "key-for-the-test", OPENAI_BASE_URL: `http://127.0.0.1:${port}` };
}

const firstAnswer = (question: string) =>
  `You asked "${question}", the first question of this chat. ` +
  "I am a mock model, and that is all I know. Set OPENAI_API_KEY to talk to a real one.";

describe("a conversation through the SDK's client", () => {
  test("streams word by word for about two seconds, and is stored as the client shows it", async () => {
    const userId = newUser();
    const chat = newChat(userId);
    const lengths = new Set<number>();
    const watch = setInterval(() => lengths.add(textOf(chat.messages[1])?.length ?? 0), 20);
    const began = Date.now();
    await ask(chat, "Why is the sky blue?");
    clearInterval(watch);
    expect(Date.now() - began).toBeGreaterThan(1_500);
    expect(Date.now() - began).toBeLessThan(6_000);
    expect(lengths.size).toBeGreaterThan(10);
    expect(textOf(chat.messages[1])).toBe(firstAnswer("Why is the sky blue?"));

    await ask(chat, "And at night?");
    expect(textOf(chat.messages[3])).toContain('"And at night?", and before that "Why is the sky blue?"');
    const stored = await getChat(chat.id, userId);
    expect(stored).toMatchObject({ id: chat.id, userId, title: "Why is the sky blue?", version: 4 });
    expect(stored.messages).toEqual(asJson(chat.messages));
  });

  test("a client that loads the chat goes on where another one stopped", async () => {
    const userId = newUser();
    const chat = newChat(userId);
    await ask(chat, "One");
    const { messages } = await getChat(chat.id, userId);
    const reloaded = newChat(userId, server, { id: chat.id, messages });
    await ask(reloaded, "Two");
    expect((await getChat(chat.id, userId)).messages).toEqual(asJson(reloaded.messages));
  });

  test("the same conversation gets the same answers", async () => {
    const answers = await Promise.all(
      [newChat(newUser()), newChat(newUser())].map(async (chat) => {
        await ask(chat, "Why?");
        await ask(chat, "Really?");
        return chat.messages.map(textOf);
      }),
    );
    expect(answers[0]).toEqual(answers[1]);
  });

  test("regenerating and editing replace what was there", async () => {
    const userId = newUser();
    const chat = newChat(userId);
    await ask(chat, "One");
    await chat.regenerate();
    await ask(chat, "Two");
    await chat.sendMessage({ text: "Three", messageId: chat.messages[0]?.id ?? "" });
    expect(chat.messages.map(textOf)).toEqual(["Three", firstAnswer("Three")]);
    expect((await getChat(chat.id, userId)).messages).toEqual(asJson(chat.messages));
  });

  test("a client that leaves mid-answer finds the whole answer later", async () => {
    const userId = newUser();
    const chat = newChat(userId);
    const seen = await askAndLeave(chat, "Will you finish?");
    expect(seen).not.toBe(firstAnswer("Will you finish?"));
    expect((await getChat(chat.id, userId)).messages).toHaveLength(1);
    await expect
      .poll(async () => textOf((await getChat(chat.id, userId)).messages[1]), { timeout: 6_000 })
      .toBe(firstAnswer("Will you finish?"));
  });

  test("a client whose question is edited elsewhere meanwhile is told that its answer is not in the chat", async () => {
    const userId = newUser();
    const chat = newChat(userId);
    const asked = chat.sendMessage({ text: "Tea?" });
    await expect.poll(() => textOf(chat.messages[1])).toBeTruthy();
    await (
      await post({ id: chat.id, message: say("user", "Coffee?", chat.messages[0]?.id) }, { "x-user-id": userId })
    ).text();
    await asked;
    expect(chat.error?.message).toBe("The chat has changed meanwhile. Load it again.");
    expect((await getChat(chat.id, userId)).messages.map(textOf)).toEqual(["Coffee?", firstAnswer("Coffee?")]);
  });

  test.each([
    ["a long one, cut between characters", `${"é".repeat(58)}👍👍👍`, `${"é".repeat(58)}👍👍…`],
    ["of exactly 60 characters", "x".repeat(60), "x".repeat(60)],
    ["of several lines", " How\n\n does\tit \u0000 work? ", "How does it work?"],
    ["nothing that can be read", "\n", "New chat"],
  ])("the title is the start of the question: %s", async (_, text, title) => {
    const userId = newUser();
    const response = await post({ id: randomUUID(), message: say("user", text) }, { "x-user-id": userId });
    expect(response.status).toBe(200);
    await response.body?.cancel();
    expect(await getChats(userId)).toMatchObject([{ title }]);
  });
});

describe("an answer that is being generated", () => {
  const streamOf = (chat: TestChat, query = "") => `/api/chat/${chat.id}/stream${query}`;
  const stop = (chat: TestChat, userId: string, messageId = "") =>
    fetch(server.url + streamOf(chat, `?message=${messageId}`), { method: "DELETE", headers: { "x-user-id": userId } });

  test("is shown to a client that joins, from its beginning to its end", async () => {
    const userId = newUser();
    const chat = newChat(userId);
    await askAndLeave(chat, "Where were we?");
    const joining = newChat(userId, server, await getChat(chat.id, userId));
    await joining.resumeStream();
    expect(joining.messages.map(textOf)).toEqual(["Where were we?", firstAnswer("Where were we?")]);
    expect((await getChat(chat.id, userId)).messages).toEqual(asJson(joining.messages));
  });

  test("is shown after its end to who has an older version, and nothing to others", async () => {
    const userId = newUser();
    const chat = newChat(userId);
    await ask(chat, "Over already?");
    const { version } = await getChat(chat.id, userId);
    const late = await get(streamOf(chat, `?version=${version - 1}`), userId);
    expect(late.headers.get("content-type")).toMatch(/^text\/event-stream/);
    expect(await late.text()).toContain("the first question of this chat");
    for (const query of ["", `?version=${version}`, "?version=x"]) {
      expect((await get(streamOf(chat, query), userId)).status, query).toBe(204);
    }
    expect((await get(streamOf(chat, `?version=${version - 1}`), newUser())).status).toBe(204);
    expect((await get(streamOf(chat, "?version=-1"), userId)).status).toBe(400);
  });

  test("ends for all when one stops it, and what was said stays", async () => {
    const userId = newUser();
    const chat = newChat(userId);
    const asked = chat.sendMessage({ text: "Shall I go on?" });
    await expect.poll(() => textOf(chat.messages[1])).toBeTruthy();
    const stranger = newUser();
    expect((await get(streamOf(chat), stranger)).status).toBe(204);
    expect((await stop(chat, stranger, chat.messages[0]?.id)).status).toBe(204);
    expect((await stop(chat, userId, "another message")).status).toBe(204);
    await sleep(500);
    expect(chat.status).toBe("streaming");
    expect((await stop(chat, userId, chat.messages[0]?.id)).status).toBe(204);
    await asked;
    const said = textOf(chat.messages[1]) ?? "";
    expect(firstAnswer("Shall I go on?").startsWith(said)).toBe(true);
    expect(said).not.toBe(firstAnswer("Shall I go on?"));
    expect((await getChat(chat.id, userId)).messages).toEqual(asJson(chat.messages));
    await ask(chat, "Do go on");
    expect((await getChat(chat.id, userId)).messages).toHaveLength(4);
  });
});

test("the list holds the user's own chats, the newest activity first, and at most as many as asked for", async () => {
  const userId = newUser();
  expect(await getChats(userId)).toEqual([]);
  const [first, second] = [newChat(userId), newChat(userId)];
  await ask(first, "a");
  await ask(second, "b");
  expect((await getChats(userId)).map(({ title }) => title)).toEqual(["b", "a"]);
  await ask(first, "c");
  expect((await getChats(userId)).map(({ id }) => id)).toEqual([first.id, second.id]);
  expect(await getJson<Chat[]>("/api/chats?limit=1", userId)).toMatchObject([{ id: first.id }]);
  expect(await getChats(newUser())).toEqual([]);
});

describe("errors are JSON without a stack:", () => {
  const expectError = async (response: Response, status: number) => {
    const text = await response.text();
    expect([response.status, text]).toEqual([status, expect.any(String)]);
    expect(response.headers.get("content-type")).toMatch(/^application\/json/);
    const body = JSON.parse(text);
    expect(body).toEqual({ error: expect.stringMatching(/./) });
    expect(body.error).not.toMatch(/node_modules|\n +at |\.[tj]s:\d/);
    return text;
  };

  test("somebody else's chat, read or asked in, is answered exactly as one that does not exist", async () => {
    const owner = newUser();
    const chat = newChat(owner);
    await ask(chat, "Mine?");
    const stored = await getChat(chat.id, owner);

    const stranger = newUser();
    const unknown = await expectError(await get(`/api/chats/${randomUUID()}`, stranger), 404);
    expect(await expectError(await get(`/api/chats/${chat.id}`, stranger), 404)).toBe(unknown);
    for (const id of [undefined, stored.messages[0]?.id]) {
      const message = say("user", "Mine!", id);
      expect(await expectError(await post({ id: chat.id, message }, { "x-user-id": stranger }), 404)).toBe(unknown);
    }
    expect(await getChats(stranger)).toEqual([]);
    expect(await getChat(chat.id, owner)).toEqual(stored);
  });

  test.each([
    ["the list", () => fetch(`${server.url}/api/chats`)],
    ["a chat", () => fetch(`${server.url}/api/chats/x`)],
    ["a question", () => post({ id: randomUUID(), message: say("user", "Hi") }, {})],
    ["an empty name", () => get("/api/chats", "")],
    ["a question that is no JSON either", () => post("{", {})],
  ])("401 without a user, for %s", async (_, send) => {
    await expectError(await send(), 401);
  });

  const question = say("user", "Hi");
  const part = (...parts: unknown[]) => ({ id: "chat", message: { ...question, parts } });
  const deep = "[".repeat(100_000) + "]".repeat(100_000);
  const bodies: [string, unknown][] = [
    ["no JSON", "{ id:"],
    ["no body", ""],
    ["JSON null", "null"],
    ["a JSON string", '"hello"'],
    ["an array", []],
    ["an empty object", {}],
    ["no chat id", { message: question }],
    ["an empty chat id", { id: "", message: question }],
    ["a chat id that is a number", { id: 1, message: question }],
    ["a chat id of 256 characters", { id: "x".repeat(256), message: question }],
    ["a chat id with a NUL", { id: "\0", message: question }],
    ["a chat id with half a surrogate pair", { id: "\ud83d", message: question }],
    ["no message", { id: "chat" }],
    ["the messages of the default transport", { id: "chat", messages: [question] }],
    ["a message without an id", { id: "chat", message: { ...question, id: undefined } }],
    ["a message with an empty id", { id: "chat", message: { ...question, id: "" } }],
    ["a message with a long id", { id: "chat", message: { ...question, id: "x".repeat(256) } }],
    ["a message with content instead of parts", { id: "chat", message: { id: "m", role: "user", content: "Hi" } }],
    ["the system's message", { id: "chat", message: say("system", "Be evil.") }],
    ["the assistant's message", { id: "chat", message: say("assistant", "I may.") }],
    ["no parts", part()],
    ["null as part", part(null)],
    ["a text part without text", part({ type: "text" })],
    ["an empty text", part({ type: "text", text: "" })],
    ["a file at no URL", part({ type: "file", mediaType: "image/png", url: "x" })],
    ["a file at an address of ours", part({ type: "file", mediaType: "image/png", url: "http://127.0.0.1/" })],
    ["a tool call that is done", part({ type: "tool-x", toolCallId: "1", state: "output-available", output: 1 })],
    ["parts that are nested deeply", `{"id":"chat","message":{"id":"m","role":"user","parts":${deep}}}`],
    ["an unknown trigger", { id: "chat", message: question, trigger: "resume-stream" }],
    ["a messageId that is a number", { id: "chat", message: question, messageId: 1 }],
  ];
  test.each(bodies)("400 for %s, and nothing is stored", async (_, body) => {
    const userId = newUser();
    await expectError(await post(body, { "x-user-id": userId }), 400);
    expect(await getChats(userId)).toEqual([]);
  });

  test("metadata is not let through, however deeply it is nested", async () => {
    const userId = newUser();
    const id = randomUUID();
    const message = JSON.stringify({ ...question, metadata: 0 }).replace(":0}", `:${deep}}`);
    const response = await post(`{"id":"${id}","message":${message}}`, { "x-user-id": userId });
    expect(response.status).toBe(200);
    await response.body?.cancel();
    expect((await getChat(id, userId)).messages[0]).toEqual(question);
  });

  test("400 for a body that is not declared as JSON, or not what it is declared as", async () => {
    const body = { id: "chat", message: question };
    await expectError(await post(body, { "x-user-id": "u", "content-type": "text/plain" }), 400);
    await expectError(await post(body, { "x-user-id": "u", "content-encoding": "gzip" }), 400);
  });

  test("400 for the name of a user that is too long", async () => {
    const userId = "x".repeat(256);
    await expectError(await get("/api/chats", userId), 400);
    await expectError(await get("/api/chats/x", userId), 400);
    await expectError(await post({ id: "chat", message: question }, { "x-user-id": userId }), 400);
  });

  test.each(["0", "-1", "1.5", "ten", "", "99999999999999999999", "1&limit=2"])("400 for ?limit=%s", async (limit) => {
    await expectError(await get(`/api/chats?limit=${limit}`, "u"), 400);
  });

  test.each(["%00", "%", "%E0%A4%A", "%ED%A0%80", "x".repeat(256)])("400 for the chat %s", async (id) => {
    await expectError(await get(`/api/chats/${id}`, "u"), 400);
  });

  test("413 for a body of more than a megabyte", async () => {
    const message = say("user", "x".repeat(1024 * 1024));
    await expectError(await post({ id: randomUUID(), message }), 413);
    const fits = await post({ id: randomUUID(), message: say("user", "x".repeat(900_000)) });
    expect(fits.status).toBe(200);
    await fits.body?.cancel();
  });

  test("415 for a charset or an encoding that is not known", async () => {
    const body = { id: "chat", message: question };
    await expectError(await post(body, { "x-user-id": "u", "content-type": "application/json; charset=koi8-r" }), 415);
    await expectError(await post(body, { "x-user-id": "u", "content-encoding": "zip" }), 415);
  });

  test.each([
    ["GET", "/"],
    ["GET", "/api"],
    ["GET", "/api/chat"],
    ["GET", "/api/chats/a/b"],
    ["GET", "/%"],
    ["POST", "/api/chats"],
    ["PUT", "/api/chat"],
    ["DELETE", "/api/chats/x"],
  ])("404 for %s %s", async (method, path) => {
    await expectError(await fetch(server.url + path, { method }), 404);
  });

  test("the server has logged none of this as its own failure", () => {
    expect(server.output()).not.toMatch(/\n +at /);
  });

  test("503 for a question that others overtake again and again, 500 for tables that are away", async () => {
    const { url, drop } = await createDatabase();
    onTestFinished(drop);
    const server = await startForTest({ DATABASE_URL: url });
    const userId = newUser();
    const chat = newChat(userId, server);
    await ask(chat, "Hi");
    const stored = await getChat(chat.id, userId, server);

    const database = new pg.Client(url);
    await database.connect();
    // To every save it looks as if another one had come in between.
    await database.query(`
      create function overtake() returns trigger language plpgsql as $$
      begin
        if current_query() not ilike 'insert%' then return null; end if;
        new.version := new.version + 1;
        return new;
      end $$;
      create trigger overtake before update on chat_store.chats for each row execute function overtake();
    `);
    const asked = () => post({ id: chat.id, message: say("user", "Too late?") }, { "x-user-id": userId }, server);
    await expectError(await asked(), 503);
    await database.query("drop trigger overtake on chat_store.chats");
    expect(await getChat(chat.id, userId, server)).toEqual(stored);

    await database.query("alter table chat_store.messages rename to mislaid");
    await database.end();
    expect(await expectError(await asked(), 500)).toBe('{"error":"Something went wrong."}');
    expect(server.output()).toMatch(/startTurn did not find its tables/);
    expect(server.output()).not.toContain("Too late?");
  });
});

describe("the process", () => {
  test("keeps its chats over a restart, and finishes the answers it has begun before it stops", async () => {
    const before = await startForTest();
    const userId = newUser();
    const chat = newChat(userId, before);
    await ask(chat, "Will you remember?");
    const stored = await getChat(chat.id, userId, before);
    const left = newChat(userId, before);
    await askAndLeave(left, "And this?");
    const staying = newChat(userId, before);
    const answered = ask(staying, "Shall I wait?");
    await expect.poll(() => textOf(staying.messages[1])).toBeTruthy();

    const began = Date.now();
    expect(await before.stop()).toBe(0);
    // Clients keep their connections for 5 seconds after an answer. Those are not waited for.
    expect(Date.now() - began).toBeLessThan(6_000);
    await answered;
    expect(textOf(staying.messages[1])).toBe(firstAnswer("Shall I wait?"));
    await expect(fetch(before.url)).rejects.toThrow();

    const after = await startForTest({ DATA_DIR: before.dataDir, PORT: new URL(before.url).port });
    expect(after.url).toBe(before.url);
    expect(await getChat(chat.id, userId, after)).toEqual(stored);
    expect((await getChat(left.id, userId, after)).messages.map(textOf)).toEqual([
      "And this?",
      firstAnswer("And this?"),
    ]);
    expect((await getChat(staying.id, userId, after)).messages).toEqual(asJson(staying.messages));
    await ask(chat, "And now?");
    expect((await getChat(chat.id, userId, after)).messages).toEqual(asJson(chat.messages));
  });

  test("stops at Ctrl-C, which npm passes on a second time", async () => {
    const server = await startForTest();
    const chat = newChat(newUser(), server);
    await askAndLeave(chat, "Hi");
    process.kill(-server.pid, "SIGINT");
    await sleep(100);
    expect(await server.stop()).toBe(0);
  });

  test("keeps its chats when it is killed", async () => {
    const before = await startForTest();
    const userId = newUser();
    const chat = newChat(userId, before);
    await ask(chat, "Will you remember?");
    const stored = await getChat(chat.id, userId, before);
    process.kill(-before.pid, "SIGKILL");
    await before.stop();
    const after = await startForTest({ DATA_DIR: before.dataDir });
    expect(await getChat(chat.id, userId, after)).toEqual(stored);
  });

  test("ends the answers that take longer than it has to stop, and keeps what was said", async () => {
    const before = await startForTest({ SHUTDOWN_SECONDS: "0.2" });
    const userId = newUser();
    const chat = newChat(userId, before);
    const asked = chat.sendMessage({ text: "Have you got a minute?" });
    await expect.poll(() => textOf(chat.messages[1])).toBeTruthy();
    const began = Date.now();
    expect(await before.stop()).toBe(0);
    expect(Date.now() - began).toBeLessThan(6_000);
    await asked;
    const said = textOf(chat.messages[1]) ?? "";
    expect(said).not.toBe(firstAnswer("Have you got a minute?"));
    const after = await startForTest({ DATA_DIR: before.dataDir });
    expect((await getChat(chat.id, userId, after)).messages).toEqual(asJson(chat.messages));
  });

  test("takes no question any more once it has to stop, also not over a connection that is kept", async () => {
    const server = await startForTest();
    const userId = newUser();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    const ask = (id: string) =>
      new Promise<number | undefined>((resolve, reject) => {
        const headers = { "x-user-id": userId, "content-type": "application/json" };
        request(`${server.url}/api/chat`, { method: "POST", agent, headers }, (response) => {
          response.resume().on("close", () => resolve(response.statusCode));
        })
          .on("error", reject)
          .end(JSON.stringify({ id, message: say("user", "Hi") }));
      });
    const first = ask("first");
    await expect.poll(async () => (await getChats(userId, server)).length).toBe(1);
    const stopped = server.stop();
    expect(await first).toBe(200);
    expect(await ask("second")).toBe(503);
    expect(await stopped).toBe(0);
    expect(server.output()).not.toMatch(/\n +at /);
  });

  test("stops also while a client does not read its answer", async () => {
    // More than what the system keeps for a client that does not read.
    const texts = Array.from({ length: 200 }, () => "x".repeat(40_000));
    const settings = await startProvider((_, response) => response.end(`${said(...texts)}${end}`));
    const server = await startForTest({ ...settings, SHUTDOWN_SECONDS: "0.2" });
    const userId = newUser();
    const id = randomUUID();
    const response = await post({ id, message: say("user", "Hi") }, { "x-user-id": userId }, server);
    const length = async () => textOf((await getChat(id, userId, server)).messages[1])?.length;
    await expect.poll(length, { timeout: 20_000 }).toBe(texts.join("").length);
    const began = Date.now();
    expect(await server.stop()).toBe(0);
    expect(Date.now() - began).toBeLessThan(6_000);
    await response.body?.cancel().catch(() => {});
  });

  test("is not kept from stopping by those who see the answer of another one", async () => {
    const { url, drop } = await createDatabase();
    onTestFinished(drop);
    const settings = await startProvider((_, response) => response.write(said("And so on, and on …")));
    const speaking = await startForTest({ ...settings, DATABASE_URL: url });
    const showing = await startForTest({ DATABASE_URL: url });
    const userId = newUser();
    const chat = newChat(userId, speaking);
    const asked = chat.sendMessage({ text: "Are you done?" });
    await expect.poll(() => textOf(chat.messages[1])).toBeTruthy();

    const path = `/api/chat/${chat.id}/stream`;
    const [joined, left] = [await get(path, userId, showing), await get(path, userId, showing)];
    await left.body?.cancel();
    const began = Date.now();
    expect(await showing.stop()).toBe(0);
    expect(Date.now() - began).toBeLessThan(6_000);
    await expect(joined.text()).rejects.toThrow();
    expect(showing.output()).not.toMatch(/\n +at /);
    expect(chat.status).toBe("streaming");
    await fetch(speaking.url + path, { method: "DELETE", headers: { "x-user-id": userId } });
    await asked;
    expect((await getChat(chat.id, userId, speaking)).messages).toEqual(asJson(chat.messages));
  });

  test("finds what it had said when it was killed", { timeout: 60_000 }, async () => {
    const before = await startForTest();
    const userId = newUser();
    const chat = newChat(userId, before);
    void chat.sendMessage({ text: "Will you remember?" });
    const said = () => textOf(chat.messages[1]) ?? "";
    await expect.poll(() => said().length, { timeout: 10_000 }).toBeGreaterThan(60);
    process.kill(-before.pid, "SIGKILL");
    await before.stop();

    const after = await startForTest({ DATA_DIR: before.dataDir });
    const joining = newChat(userId, after, await getChat(chat.id, userId, after));
    // It is known to be dead after ten seconds of silence.
    await joining.resumeStream();
    expect(joining.error?.message).toContain("interrupted");
    const found = textOf(joining.messages[1]) ?? "";
    // Nothing that was said more than a quarter of a second before is missing.
    expect(found.length).toBeGreaterThan(20);
    expect(firstAnswer("Will you remember?").startsWith(found)).toBe(true);
    expect((await getChat(chat.id, userId, after)).messages.map(textOf)).toEqual(["Will you remember?", found]);
    await joining.regenerate();
    expect((await getChat(chat.id, userId, after)).messages.map(textOf)).toEqual([
      "Will you remember?",
      firstAnswer("Will you remember?"),
    ]);
  });

  test("does not open the database of another one on its port", async () => {
    const { port } = new URL(server.url);
    const folder = join(await mkdtemp(join(tmpdir(), "express-example-")), "data");
    onTestFinished(() => rm(join(folder, ".."), { recursive: true, force: true }));
    await expect(start({ PORT: port, DATA_DIR: folder })).rejects.toThrow("EADDRINUSE");
    await expect(readdir(folder)).rejects.toThrow("ENOENT");
  });

  test("listens to this machine only, unless HOST says otherwise", async () => {
    const others = Object.values(networkInterfaces())
      .flat()
      .filter((address) => address?.family === "IPv4" && !address.internal);
    expect(new URL(server.url).hostname).toBe("127.0.0.1");
    const reach = ({ url }: Server) =>
      Promise.allSettled(others.map((address) => fetch(`http://${address?.address}:${new URL(url).port}/`)));
    expect((await reach(server)).map(({ status }) => status)).toEqual(others.map(() => "rejected"));
    const open = await startForTest({ HOST: "0.0.0.0" });
    expect((await reach(open)).map(({ status }) => status)).toEqual(others.map(() => "fulfilled"));
  });

  test("lets requests wait that come before its database is open", async () => {
    const port = await new Promise<number>((resolve) => {
      const probe = createServer().listen(0, "127.0.0.1", () => {
        const { port } = probe.address() as AddressInfo;
        probe.close(() => resolve(port));
      });
    });
    const starting = startForTest({ PORT: String(port) });
    const status = async () => (await get("/api/chats", "u", { ...server, url: `http://127.0.0.1:${port}` })).status;
    await expect.poll(() => status().catch(() => 0), { timeout: 30_000, interval: 20 }).not.toBe(0);
    expect(await status()).toBe(200);
    await starting;
  });

  test("uses the Postgres at DATABASE_URL and no folder", async () => {
    const { url, drop } = await createDatabase();
    onTestFinished(drop);
    const userId = newUser();
    const folder = join(tmpdir(), `express-example-${randomUUID()}`);
    const before = await startForTest({ DATABASE_URL: url, DATA_DIR: folder });
    expect(before.output()).not.toContain(url);
    const chat = newChat(userId, before);
    await askAndLeave(chat, "Hi");
    expect(await before.stop()).toBe(0);
    const after = await startForTest({ DATABASE_URL: url, DATA_DIR: folder });
    expect((await getChat(chat.id, userId, after)).messages.map(textOf)).toEqual(["Hi", firstAnswer("Hi")]);
    await expect(readdir(folder)).rejects.toThrow("ENOENT");
  });

  test("asks OpenAI when its key is set; when that fails, the question stays and the log does not hold it", async () => {
    const asked: { authorization: string | undefined; body: string }[] = [];
    const settings = await startProvider(async (request, response) => {
      let body = "";
      for await (const chunk of request) body += chunk;
      asked.push({ authorization: request.headers.authorization, body });
      if (asked.length > 1) response.writeHead(401).end('{ "error": { "message": "Wrong key", "type": "auth" } }');
      else response.end(`${said("I am real.")}${end}`);
    });
    const server = await startForTest({ ...settings, OPENAI_MODEL: "some-model" });
    const userId = newUser();
    const chat = newChat(userId, server);
    await ask(chat, "Are you real?");
    expect(textOf(chat.messages[1])).toBe("I am real.");
    expect(asked[0]).toEqual({
      authorization: "Bearer key-for-the-test",
      body: expect.stringMatching(/some-model.*Are you real\?/),
    });

    await chat.sendMessage({ text: "Really?" });
    expect(chat.error?.message).toBe("An error occurred.");
    expect((await getChat(chat.id, userId, server)).messages.map(textOf).slice(0, 3)).toEqual([
      "Are you real?",
      "I am real.",
      "Really?",
    ]);
    expect(server.output()).toContain("Wrong key");
    expect(server.output()).not.toMatch(/Really\?|key-for-the-test/);
  });
});

test("the types are right", async () => {
  expect(await shell(`cd "${example}" && npm run --silent types`)).toBe("");
});

test("README's curl commands give what README says", { timeout: 60_000 }, async () => {
  const server = await startForTest();
  const readme = await readFile(join(example, "README.md"), "utf8");
  const blocks = [...readme.matchAll(/^```sh\n(curl [^`]+)\n```\n\n```(json)?\n([^`]+)\n```$/gm)];
  expect(blocks).toHaveLength([...readme.matchAll(/^curl /gm)].length);
  expect(blocks.length).toBeGreaterThan(5);
  for (const [, command = "", json, shown = ""] of blocks) {
    const printed = await shell(command.replaceAll("localhost:3000", new URL(server.url).host));
    if (json) expect(masked(JSON.parse(printed)), command).toEqual(masked(JSON.parse(shown)));
    else expect(masked(printed).trim(), command).toMatch(patternOf(masked(shown)));
  }
});

/** What the command prints, also when it ends with an error, as curl does when its time is over. */
const shell = (command: string) =>
  new Promise<string>((resolve) => {
    execFile("bash", ["-c", command], (_error, stdout) => resolve(stdout));
  });

/** Without what differs each time: random ids and times. */
function masked<T>(value: T): T {
  const uuid = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;
  const date = /\d{4}-\d\d-\d\dT[\d:.]+Z/g;
  return JSON.parse(JSON.stringify(value).replace(uuid, "an id").replace(date, "a time"));
}

/** An ellipsis stands for any lines. */
function patternOf(text: string) {
  const pieces = text.split("…").map((piece) => piece.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
  return new RegExp(`^${pieces.map((piece) => piece.trim()).join("\\s[^]*\\s?")}$`);
}

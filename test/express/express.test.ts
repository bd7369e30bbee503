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
import { TestChat } from "../support/chat-server.ts";
import { say, textOf } from "../support/conversations.ts";
import { countingProxy } from "../support/counting-proxy.ts";
import { createDatabase } from "../support/databases.ts";
import { installExample } from "../support/install-example.ts";

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
/** Any request; `body` is JSON, or sent as it is if it is a string. */
const send = (method: string, path: string, userId: string, body?: unknown, { url } = server) =>
  fetch(url + path, {
    method,
    headers: { "x-user-id": userId, ...(body === undefined ? {} : { "content-type": "application/json" }) },
    body: body === undefined || typeof body === "string" ? (body ?? null) : JSON.stringify(body),
  });
const newChat = (userId: string, { url } = server, init: { id?: string; messages?: UIMessage[] } = {}) =>
  new TestChat({ id: randomUUID(), ...init, url: `${url}/api/chat`, userId });
const asJson = <T>(value: T): T => JSON.parse(JSON.stringify(value));

async function ask(chat: TestChat, text: string) {
  await chat.sendMessage({ text });
  expect(chat.error).toBeUndefined();
}

async function expectError(response: Response, status: number) {
  const text = await response.text();
  expect([response.status, text]).toEqual([status, expect.any(String)]);
  expect(response.headers.get("content-type")).toMatch(/^application\/json/);
  const body = JSON.parse(text);
  expect(body).toEqual({ error: expect.stringMatching(/./) });
  expect(body.error).not.toMatch(/node_modules|\n +at |\.[tj]s:\d/);
  return text;
}

/** Asks, and goes away as soon as some words have arrived. */
async function askAndLeave(chat: TestChat, text: string): Promise<string> {
  void chat.sendMessage({ text });
  await expect.poll(() => textOf(chat.messages[1])?.length ?? 0).toBeGreaterThan(10);
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

describe("a long chat", () => {
  const page = (path: string, userId: string) =>
    getJson<{ chat: Chat; messages: UIMessage[]; hasMore: boolean }>(path, userId);
  const message = (id: string) => ({ id, role: "user" as const, parts: [{ type: "text" as const, text: id }] });

  test("is read in pages from its end", async () => {
    const userId = newUser();
    const { path, first, second } = await askedTwice(userId);
    const { messages, ...chat } = await getJson<Chat & { messages: UIMessage[] }>(path, userId);
    expect(await page(`${path}/messages`, userId)).toEqual({ chat, messages, hasMore: false });
    expect(await page(`${path}/messages?limit=1`, userId)).toEqual({
      chat,
      messages: messages.slice(2),
      hasMore: true,
    });
    expect(await page(`${path}/messages?limit=2&before=${second}`, userId)).toEqual({
      chat,
      messages: messages.slice(0, 2),
      hasMore: false,
    });
    expect(await page(`${path}/messages?before=${first}`, userId)).toEqual({ chat, messages: [], hasMore: false });
  });

  test("400 for a page that cannot be, 404 for a chat that is not there or somebody else's", async () => {
    const userId = newUser();
    const { path } = await askedTwice(userId);
    for (const query of ["limit=0", "limit=-1", "limit=1.5", "limit=many", "limit=201", "before=gone", "before="]) {
      await expectError(await send("GET", `${path}/messages?${query}`, userId), 400);
    }
    const toStranger = await expectError(await send("GET", `${path}/messages?before=gone`, newUser()), 404);
    expect(await expectError(await send("GET", "/api/chats/none/messages", userId), 404)).toBe(toStranger);
  });

  test("is found by its title and by what was said in it, and by nobody else", async () => {
    const userId = newUser();
    const { id } = newChat(userId);
    const words = `50% of "C:\\tea" & 茶/thé?`;
    const asked = { id, message: { ...message("q"), parts: [{ type: "text", text: words }] } };
    // To its end, when the answer is stored.
    await (await send("POST", "/api/chat", userId, asked)).text();
    type Found = {
      matches: { chat: Chat; messageId: string | null; excerpt: { match: string } }[];
      before: string | null;
    };
    const search = (query: string, more = "", who = userId) =>
      getJson<Found>(`/api/search?query=${encodeURIComponent(query)}${more}`, who);

    const { matches, before } = await search(words.toUpperCase());
    expect(matches.map(({ messageId }) => messageId)).toEqual([null, expect.any(String), "q"]);
    expect(matches.map(({ excerpt }) => excerpt.match)).toEqual([words, words, words]);
    expect(before).toBeNull();
    const one = await search(words, "&limit=1");
    expect(one.matches).toEqual(matches.slice(0, 1));
    const rest = await search(words, `&before=${one.before}`);
    expect(rest.matches).toEqual(matches.slice(1));
    expect(await search(words, "", newUser())).toEqual({ matches: [], before: null });
    for (const query of ["", "query=", "query=tea&limit=0", "query=tea&before=x", "query=%00"]) {
      await expectError(await send("GET", `/api/search?${query}`, userId), 400);
    }
  });
});

/** A chat of two questions and their answers. */
async function askedTwice(userId: string, from = server) {
  const chat = newChat(userId, from);
  await ask(chat, "One?");
  await ask(chat, "Two?");
  const [first, , second] = chat.messages.map(({ id }) => id);
  return { id: chat.id, path: `/api/chats/${chat.id}`, first: first ?? "", second: second ?? "" };
}

describe("what is said about a chat", () => {
  test("is changed, and neither moves it in the list nor makes it another version", async () => {
    const userId = newUser();
    const [older, newer] = [newChat(userId), newChat(userId)];
    await ask(older, "a");
    await ask(newer, "b");
    const before = await getChat(older.id, userId);
    const path = `/api/chats/${older.id}`;
    const changed = await send("PATCH", path, userId, { title: "Tea", metadata: { pinned: true } });
    expect(changed.status).toBe(200);
    const { messages, ...chat } = { ...before, title: "Tea", metadata: { pinned: true } };
    expect(await changed.json()).toEqual(chat);
    expect(await getChat(older.id, userId)).toEqual({ ...chat, messages });
    expect((await getChats(userId)).map(({ id }) => id)).toEqual([newer.id, older.id]);

    expect(await (await send("PATCH", path, userId, { titleIfEmpty: "Made up" })).json()).toEqual(chat);
    expect((await send("PATCH", path, userId, { title: "" })).status).toBe(200);
    expect(await (await send("PATCH", path, userId, { titleIfEmpty: "Made up" })).json()).toMatchObject({
      title: "Made up",
      metadata: { pinned: true },
    });
    expect(await (await send("PATCH", path, userId, { metadata: null })).json()).not.toHaveProperty("metadata");
  });

  test("the archive and the list each have their own", async () => {
    const userId = newUser();
    const [kept, put] = [newChat(userId), newChat(userId)];
    await ask(kept, "a");
    await ask(put, "b");
    const path = `/api/chats/${put.id}`;
    const archived = (await (await send("PATCH", path, userId, { archived: true })).json()) as Chat;
    expect(archived.archivedAt).toEqual(expect.any(String));
    const ids = async (query: string) => (await getJson<Chat[]>(`/api/chats${query}`, userId)).map(({ id }) => id);
    expect(await ids("")).toEqual([kept.id]);
    expect(await ids("?archived=false")).toEqual([kept.id]);
    expect(await ids("?archived=true")).toEqual([put.id]);
    expect(await ids("?archived=true&limit=1")).toEqual([put.id]);
    // It can be read and talked in all the same.
    await ask(put, "c");
    expect((await getChat(put.id, userId)).messages).toHaveLength(4);
    expect(await ids("?archived=true")).toEqual([put.id]);
    expect(await (await send("PATCH", path, userId, { archived: false })).json()).toMatchObject({ archivedAt: null });
    expect(await ids("")).toEqual([put.id, kept.id]);
  });
});

test("a fork has the messages up to the one named, and goes its own way", async () => {
  const userId = newUser();
  const { id, path, first } = await askedTwice(userId);
  const before = await getChat(id, userId);
  const newId = randomUUID();
  const body = { id: newId, throughMessageId: first, title: "Another way" };
  const forked = await send("POST", `${path}/fork`, userId, body);
  expect(forked.status).toBe(201);
  expect(await forked.json()).toMatchObject({ id: newId, userId, title: "Another way", version: 1 });
  expect((await getChat(newId, userId)).messages).toEqual(before.messages.slice(0, 1));
  const whole = randomUUID();
  expect((await send("POST", `${path}/fork`, userId, { id: whole })).status).toBe(201);
  expect(await getChat(whole, userId)).toMatchObject({ title: "One?", messages: before.messages });

  const fork = newChat(userId, server, await getChat(whole, userId));
  await ask(fork, "Three?");
  expect(textOf(fork.messages[5])).toContain('"Three?", and before that "Two?"');
  expect(await getChat(id, userId)).toEqual(before);

  expect(await expectError(await send("POST", `${path}/fork`, userId, { id: newId }), 409)).toContain("already");
  await expectError(await send("POST", `${path}/fork`, userId, { id }), 409);
  const unknown = { id: randomUUID(), throughMessageId: "unknown" };
  await expectError(await send("POST", `${path}/fork`, userId, unknown), 404);
  await expectError(await get(`/api/chats/${unknown.id}`, userId), 404);
  const others = newChat(newUser());
  await ask(others, "Mine?");
  await expectError(await send("POST", `${path}/fork`, userId, { id: others.id }), 404);
  expect(await getChats(userId)).toHaveLength(3);
});

describe("a message", () => {
  const parts = say("user", "Corrected?").parts;

  test("of the user's own is changed where it stands, and nothing else is", async () => {
    const userId = newUser();
    const { id, path, first, second } = await askedTwice(userId);
    const { messages, ...before } = await getChat(id, userId);
    const changed = await send("PUT", `${path}/messages/${first}`, userId, {
      id: second,
      role: "user",
      parts,
      metadata: { corrected: true },
    });
    expect(changed.status).toBe(200);
    const chat = { ...before, version: before.version + 1, updatedAt: expect.any(String) };
    expect(await changed.json()).toEqual(chat);
    const expected = [{ id: first, role: "user", parts, metadata: { corrected: true } }, ...messages.slice(1)];
    expect(await getChat(id, userId)).toEqual({ ...chat, messages: expected });
    expect((await send("PUT", `${path}/messages/${first}`, userId, { role: "user", parts })).status).toBe(200);
    expect((await getChat(id, userId)).messages[0]).toEqual({ id: first, role: "user", parts });
    await expectError(await send("PUT", `${path}/messages/unknown`, userId, { role: "user", parts }), 404);
  });

  test("of the assistant is not, whatever role the request claims for it", async () => {
    const userId = newUser();
    const { id, path, first } = await askedTwice(userId);
    const before = await getChat(id, userId);
    const answer = before.messages[1]?.id ?? "";
    for (const role of ["assistant", "system", "user"]) {
      await expectError(await send("PUT", `${path}/messages/${answer}`, userId, { role, parts }), 400);
    }
    await expectError(await send("PUT", `${path}/messages/${first}`, userId, { role: "assistant", parts }), 400);
    expect(await getChat(id, userId)).toEqual(before);
  });

  test("is deleted alone, or with all that follow", async () => {
    const userId = newUser();
    const { id, path, second } = await askedTwice(userId);
    const { messages } = await getChat(id, userId);
    const answer = messages[1]?.id ?? "";
    const alone = await send("DELETE", `${path}/messages/${answer}`, userId);
    expect(alone.status).toBe(200);
    expect(await alone.json()).toMatchObject({ id, version: 5 });
    expect((await getChat(id, userId)).messages).toEqual(messages.toSpliced(1, 1));
    await expectError(await send("DELETE", `${path}/messages/${answer}`, userId), 404);
    expect((await send("DELETE", `${path}/messages/${second}?following=true`, userId)).status).toBe(200);
    expect((await getChat(id, userId)).messages).toEqual(messages.slice(0, 1));
    const chat = newChat(userId, server, await getChat(id, userId));
    await ask(chat, "Three?");
    expect((await getChat(id, userId)).messages).toEqual(asJson(chat.messages));
  });
});

test("a chat is deleted, and all of the user's are, and nobody else's", async () => {
  const [userId, other] = [newUser(), newUser()];
  const chats = [newChat(userId), newChat(userId), newChat(userId)];
  const others = newChat(other);
  await Promise.all([...chats, others].map((chat) => ask(chat, "Hi")));
  const path = `/api/chats/${chats[0]?.id}`;
  const deleted = await send("DELETE", path, userId);
  expect([deleted.status, await deleted.text()]).toEqual([204, ""]);
  await expectError(await get(path, userId), 404);
  await expectError(await send("DELETE", path, userId), 404);
  await send("PATCH", `/api/chats/${chats[1]?.id}`, userId, { archived: true });
  expect(await (await send("DELETE", "/api/chats", userId)).json()).toEqual({ deleted: 2 });
  expect(await (await send("DELETE", "/api/chats", userId)).json()).toEqual({ deleted: 0 });
  expect(await (await get("/api/export", userId)).text()).toBe("");
  expect((await getChat(others.id, other)).messages).toHaveLength(2);
});

test("an id that is left out, or that a URL takes for a step up, deletes nothing", async () => {
  const userId = newUser();
  const { id, path } = await askedTwice(userId);
  const stored = await getChat(id, userId);
  const addresses = ["/api/chats/", "/api/chats/.", "/api/chats/%2e", "/api/chats//", `${path}/`];
  for (const address of [...addresses, `${path}/messages`, `${path}/messages/`, `${path}/messages/..`]) {
    await expectError(await send("DELETE", address, userId), 404);
  }
  expect(await getChat(id, userId)).toEqual(stored);
});

describe("while an answer streams", () => {
  const changed = "The chat has changed meanwhile. Load it again.";
  /** A chat that is answering its last question. */
  async function answering(userId: string, ...before: string[]) {
    const chat = newChat(userId);
    for (const question of before) await ask(chat, question);
    const place = chat.messages.length;
    const asked = chat.sendMessage({ text: "And this?" });
    await expect.poll(() => textOf(chat.messages[place + 1])).toBeTruthy();
    return { chat, asked, path: `/api/chats/${chat.id}`, question: chat.messages[place]?.id ?? "" };
  }

  test.each([
    ["its chat is deleted", (path: string) => [path, 204] as const],
    ["all chats are", () => ["/api/chats", 200] as const],
  ])("%s: the stream ends for all, nothing is stored, and the server goes on", async (_, target) => {
    const userId = newUser();
    const { chat, asked, path } = await answering(userId);
    const joining = newChat(userId, server, await getChat(chat.id, userId));
    const joined = joining.resumeStream();
    await expect.poll(() => textOf(joining.messages[1])).toBeTruthy();
    const [address, status] = target(path);
    const deletion = await send("DELETE", address, userId);
    expect(deletion.status).toBe(status);
    await Promise.all([asked, joined]);
    expect(chat.error?.message).toBe(changed);
    expect(textOf(chat.messages[1])).not.toBe(firstAnswer("And this?"));
    expect(textOf(joining.messages[1])).not.toBe(firstAnswer("And this?"));
    await sleep(500);
    await expectError(await get(path, userId), 404);
    expect(await getChats(userId)).toEqual([]);

    const again = newChat(userId, server, { id: chat.id });
    await ask(again, "Anew?");
    expect((await getChat(chat.id, userId)).messages.map(textOf)).toEqual(["Anew?", firstAnswer("Anew?")]);
    expect(server.output()).not.toMatch(/\n +at /);
  });

  test.each([
    ["its question is deleted", "DELETE", undefined, ["One?", firstAnswer("One?")]],
    ["its question is changed", "PUT", say("user", "And that?"), ["One?", firstAnswer("One?"), "And that?"]],
  ])("%s: the stream ends and the answer is not stored", async (_, method, body, stored) => {
    const userId = newUser();
    const { chat, asked, path, question } = await answering(userId, "One?");
    expect((await send(method, `${path}/messages/${question}`, userId, body)).status).toBe(200);
    await asked;
    expect(chat.error?.message).toBe(changed);
    await sleep(500);
    expect((await getChat(chat.id, userId)).messages.map(textOf)).toEqual(stored);
    const again = newChat(userId, server, await getChat(chat.id, userId));
    await ask(again, "Three?");
    expect((await getChat(chat.id, userId)).messages).toEqual(asJson(again.messages));
    expect(server.output()).not.toMatch(/\n +at /);
  });

  test("what is done elsewhere in the chat is no matter to it", async () => {
    const userId = newUser();
    const { chat, asked, path, question } = await answering(userId, "One?");
    const [first, answer] = chat.messages.map(({ id }) => id);
    const corrected = say("user", "First?");
    const forkId = randomUUID();
    const statuses = [
      await send("PATCH", path, userId, { title: "Tea", archived: true }),
      await send("PUT", `${path}/messages/${first}`, userId, corrected),
      await send("DELETE", `${path}/messages/${answer}`, userId),
      await send("POST", `${path}/fork`, userId, { id: forkId }),
    ].map(({ status }) => status);
    expect(statuses).toEqual([200, 200, 200, 201]);
    await asked;
    expect(chat.error).toBeUndefined();
    const stored = await getChat(chat.id, userId);
    expect(stored).toMatchObject({ title: "Tea", archivedAt: expect.any(String) });
    expect(stored.messages).toEqual([{ ...corrected, id: first }, ...asJson(chat.messages.slice(2))]);
    expect((await getChat(forkId, userId)).messages.map(({ id }) => id)).toEqual([first, question]);
  });
});

describe("an export", () => {
  const linesOf = (text: string): ChatWithMessages[] => {
    expect(text.endsWith("\n")).toBe(true);
    return text
      .slice(0, -1)
      .split("\n")
      .map((line) => JSON.parse(line));
  };

  /** A server with `count` chats of one user, each with a question of this length, and how its statements are counted. */
  async function startWithChats(count: number, length: number) {
    const { url, drop } = await createDatabase();
    onTestFinished(drop);
    const proxy = await countingProxy(url);
    onTestFinished(() => void proxy.close());
    // With Vitest's own NODE_ENV, Express does not log what fails once the headers are sent.
    const server = await startForTest({ DATABASE_URL: proxy.url, NODE_ENV: "production" });
    const userId = newUser();
    const id = randomUUID();
    await (await post({ id, message: say("user", "x".repeat(length)) }, { "x-user-id": userId }, server)).text();
    for (let made = 1; made < count; made++) {
      const forked = await send("POST", `/api/chats/${id}/fork`, userId, { id: randomUUID() }, server);
      expect(forked.status).toBe(201);
    }
    return { url, proxy, server, userId };
  }

  /** A client that has got the headers, and does not read on. */
  const openExport = ({ url }: Server, userId: string) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      request(`${url}/api/export`, { headers: { "x-user-id": userId } }, resolve)
        .on("error", reject)
        .end();
    });

  test("holds every chat whole, on a line of its own", async () => {
    const userId = newUser();
    const { id, path } = await askedTwice(userId);
    for (let made = 0; made < 119; made++) await send("POST", `${path}/fork`, userId, { id: `${id}-${made}` });
    await send("PATCH", path, userId, { archived: true, title: "Two\nlines", metadata: { is: "a\u2028b" } });
    const response = await get("/api/export", userId);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/x-ndjson");
    const exported = linesOf(await response.text());
    expect(exported).toHaveLength(120);
    const chats = await getChats(userId);
    expect(chats).toHaveLength(119);
    const ids = [id, ...chats.map(({ id }) => id)];
    expect(exported.map(({ id }) => id).sort()).toEqual(ids.sort());
    for (const chat of [exported[0], exported.find((chat) => chat.id === id), exported.at(-1)]) {
      expect(chat).toEqual(await getChat(chat?.id ?? "", userId));
    }
  });

  test("is read as the client reads, ends when it leaves, and keeps no server from stopping", async () => {
    const { proxy, server, userId } = await startWithChats(60, 900_000);
    let client: IncomingMessage | undefined;
    const begun = await proxy.count(async () => {
      client = await openExport(server, userId);
      await sleep(1_500);
    });
    expect(begun.statements).toBeGreaterThan(1);
    expect(begun.statements).toBeLessThan(40);
    expect(await proxy.count(() => sleep(500))).toMatchObject({ statements: 0 });
    client?.destroy();
    expect((await proxy.count(() => sleep(1_000))).statements).toBeLessThan(2);
    expect(linesOf(await (await get("/api/export", userId, server)).text())).toHaveLength(60);
    // And one that leaves while it reads.
    const reading = await openExport(server, userId);
    await once(reading, "data");
    reading.destroy();
    expect(await getChats(userId, server)).toHaveLength(60);

    const staying = await openExport(server, userId);
    const began = Date.now();
    expect(await server.stop()).toBe(0);
    expect(Date.now() - began).toBeLessThan(6_000);
    staying.destroy();
    expect(server.output()).not.toMatch(/\n +at /);
  });

  test("that fails halfway does not look as if it were whole", async () => {
    const { url, server, userId } = await startWithChats(60, 900_000);
    const client = await openExport(server, userId);
    const database = new pg.Client(url);
    await database.connect();
    await database.query("alter table chat_store.messages rename to mislaid");
    const read = async () => {
      for await (const _ of client);
    };
    await expect(read()).rejects.toThrow("aborted");
    await expect.poll(() => server.output()).toContain("exportChats did not find its tables");
    expect(await expectError(await get("/api/export", userId, server), 500)).toBe('{"error":"Something went wrong."}');
    await database.query("alter table chat_store.mislaid rename to messages");
    await database.end();
    expect(linesOf(await (await get("/api/export", userId, server)).text())).toHaveLength(60);
  });
});

describe("errors are JSON without a stack:", () => {
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
    ["the deletion of all chats", () => send("DELETE", "/api/chats", "")],
    ["the change of a chat", () => send("PATCH", "/api/chats/x", "", "{")],
    ["the deletion of a chat", () => send("DELETE", "/api/chats/x", "")],
    ["a fork", () => send("POST", "/api/chats/x/fork", "", "{")],
    ["the change of a message", () => send("PUT", "/api/chats/x/messages/y", "", "{")],
    ["the deletion of a message", () => send("DELETE", "/api/chats/x/messages/y", "")],
    ["an export", () => get("/api/export", "")],
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

  test("nothing is changed in somebody else's chat, which is answered as one that does not exist", async () => {
    const owner = newUser();
    const { id, path, first } = await askedTwice(owner);
    const stored = await getChat(id, owner);
    const stranger = newUser();
    const body = { role: "user", parts: question.parts };
    const requests: [string, (chat: string) => string, unknown?][] = [
      ["PATCH", (chat) => chat, { title: "Mine!", archived: true }],
      ["DELETE", (chat) => chat],
      ["POST", (chat) => `${chat}/fork`, { id: randomUUID() }],
      ["PUT", (chat) => `${chat}/messages/${first}`, body],
      ["DELETE", (chat) => `${chat}/messages/${first}`],
      ["DELETE", (chat) => `${chat}/messages/${first}?following=true`],
    ];
    for (const [method, addressOf, body] of requests) {
      const unknown = await send(method, addressOf(`/api/chats/${randomUUID()}`), stranger, body);
      const theirs = await send(method, addressOf(path), stranger, body);
      expect(await expectError(theirs, 404)).toBe(await expectError(unknown, 404));
    }
    expect(await (await send("DELETE", "/api/chats", stranger)).json()).toEqual({ deleted: 0 });
    expect(await (await get("/api/export", stranger)).text()).toBe("");
    expect(await getJson<Chat[]>("/api/chats?archived=true", stranger)).toEqual([]);
    expect(await getChats(stranger)).toEqual([]);
    expect(await getChat(id, owner)).toEqual(stored);
  });

  test("400 for what cannot be done to a chat, and nothing is changed", async () => {
    const userId = newUser();
    const { id, path, first } = await askedTwice(userId);
    const stored = await getChat(id, userId);
    const message = { role: "user", parts: question.parts };
    const ofPart = (part: unknown) => ({ role: "user", parts: [part] });
    const bad: [string, string, ...unknown[]][] = [
      [
        "PATCH",
        path,
        {},
        { userId: "u" },
        { title: null },
        { title: 1 },
        { title: "x".repeat(1_001) },
        { title: "\0" },
      ],
      ["PATCH", path, { title: "a", titleIfEmpty: "b" }, { archived: "true" }, { archived: null }],
      ["PATCH", path, { metadata: 1 }, { metadata: [] }, `{"metadata":{"deep":${deep}}}`],
      ["POST", `${path}/fork`, {}, { id: 1 }, { id: "" }, { id: "x".repeat(256) }, { id: "\0" }],
      ["POST", `${path}/fork`, { id: "y", throughMessageId: "" }, { id: "y", title: "x".repeat(1_001) }],
      [
        "PUT",
        `${path}/messages/${first}`,
        {},
        { role: "user" },
        { parts: question.parts },
        { role: "user", parts: [] },
      ],
      ["PUT", `${path}/messages/${first}`, ofPart(null), ofPart({ type: "text", text: "" })],
      ["PUT", `${path}/messages/${first}`, ofPart({ type: "file", mediaType: "image/png", url: "http://127.0.0.1/" })],
      ["PUT", `${path}/messages/${first}`, { ...message, metadata: 1 }],
      ["PUT", `${path}/messages/${first}`, `{"role":"user","parts":${deep}}`],
      ["PUT", `${path}/messages/${"x".repeat(256)}`, message],
    ];
    for (const [method, address, ...bodies] of bad) {
      for (const body of [...bodies, "", "{", "null", "[]", '"text"']) {
        await expectError(await send(method, address, userId, body), 400);
      }
      const form = { method, headers: { "x-user-id": userId }, body: new URLSearchParams({ title: "a" }) };
      await expectError(await fetch(server.url + address, form), 400);
    }
    for (const query of ["?following=", "?following=1", "?following=true&following=true"]) {
      await expectError(await send("DELETE", `${path}/messages/${first}${query}`, userId), 400);
    }
    for (const path of ["/%00", `/${"x".repeat(256)}`, "/%"].flatMap((id) => [id, `/chat/messages${id}`])) {
      await expectError(await send("DELETE", `/api/chats${path}`, userId), 400);
    }
    const large = { metadata: { text: "x".repeat(1024 * 1024) } };
    await expectError(await send("PATCH", path, userId, large), 413);
    expect(await getChat(id, userId)).toEqual(stored);
    expect(await getChats(userId)).toHaveLength(1);
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
    await expectError(await get("/api/export", userId), 400);
    await expectError(await send("DELETE", "/api/chats", userId), 400);
  });

  test.each(["", "1", "yes", "TRUE", "true&archived=true"])("400 for ?archived=%s", async (archived) => {
    await expectError(await get(`/api/chats?archived=${archived}`, "u"), 400);
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
    ["PUT", "/api/chats/x"],
    ["GET", "/api/chats/x/messages/y"],
    ["DELETE", "/api/chats/x/messages"],
    ["POST", "/api/export"],
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
    await expect.poll(length).toBe(texts.join("").length);
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
    await expect.poll(() => said().length).toBeGreaterThan(60);
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

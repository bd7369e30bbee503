import { type ChildProcessByStdio, execFile, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { promisify } from "node:util";
import { AbstractChat, type ChatInit, type UIMessage } from "ai";
import { test as base, expect, inject, onTestFinished } from "vitest";
import { type ChatClient, type ClientChat, createChatClient } from "../../src/client.ts";
import { type ChatErrorBody, statusOf } from "../../src/protocol.ts";
import { PlainState } from "./chat-server.ts";
import { textOf } from "./conversations.ts";
import { createDatabase } from "./databases.ts";
import { eventually } from "./eventually.ts";
import { answerTo, firstWordsOf, type HeldAnswer, type ModelServer, startModelServer } from "./model-server.ts";

type Settings = Record<string, string>;

export type StoredChat = ClientChat & { messages: UIMessage[] };

/** The SDK's own client, as `useChat` runs it, with the transport of this package. */
export class ChatOnPage extends AbstractChat<UIMessage> {
  constructor(init: ChatInit<UIMessage>) {
    super({ onError: () => {}, ...init, state: new PlainState(init.messages) });
  }
}

const run = promisify(execFile);

/** Expects no stack trace in what a server has printed: no failure that it takes for its own. */
export function expectNoStackTrace(output: string): void {
  // The adapter prints why a response breaks off, as when a later change supersedes the answer.
  const withoutConflicts = output.replace(/^ChatConflictError: .*\n( +at .*\n)+/gm, "");
  expect(withoutConflicts).not.toMatch(/\n +at /);
}

/**
 * Gives the tests of a file a model and a server of the example that asks it. The files of a worker share the two, so that each
 * test is a user of its own. After each test, no answer may be held any more, and the server may not have printed a stack trace.
 * `databaseUrl` is for servers of a test's own: they start in half of the time that they need with a database in a folder.
 */
// biome-ignore-start lint/correctness/noEmptyPattern: Vitest accepts nothing else.
export const test = base
  .extend("sharedModel", { scope: "worker" }, async ({}, { onCleanup }) => {
    const model = await startModelServer();
    onCleanup(() => model.stop());
    return model;
  })
  .extend("sharedServer", { scope: "worker" }, async ({ sharedModel }, { onCleanup }) => {
    const server = await startServer(sharedModel.settings);
    onCleanup(() => server.dispose());
    return server;
  })
  .extend("databaseUrl", { scope: "worker" }, async ({}, { onCleanup }) => {
    const { url, drop } = await createDatabase();
    onCleanup(drop);
    return url;
  })
  .extend("model", async ({ sharedModel }, { onCleanup }) => {
    const before = sharedModel.held();
    onCleanup(() => expect(sharedModel.held(), "answers that are still held").toBe(before));
    return sharedModel;
  })
  .extend("server", async ({ sharedServer }, { onCleanup }) => {
    const before = sharedServer.output().length;
    onCleanup(() => expectNoStackTrace(sharedServer.output().slice(before)));
    return sharedServer;
  });
// biome-ignore-end lint/correctness/noEmptyPattern: as above.

/** `npm start` in the example, and the requests to it. */
export class ExampleServer {
  readonly dataDir: string;
  readonly #npm: ChildProcessByStdio<null, Readable, Readable>;
  /** Resolves when neither npm nor the server runs any more: nobody can write to their output. */
  readonly #ended: Promise<void>;
  #hasEnded = false;
  #output = "";
  #url: string | undefined;

  constructor(settings: Settings & { DATA_DIR: string }) {
    this.dataDir = settings.DATA_DIR;
    const { HOST: _, DATABASE_URL: __, OPENAI_API_KEY: ___, NODE_OPTIONS: ____, ...inherited } = process.env;
    this.#npm = spawn("npm", ["start"], {
      cwd: inject("expressExample"),
      env: { ...inherited, PORT: "0", ...settings },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    const read = (chunk: Buffer) => {
      this.#output += chunk;
      this.#url ??= this.#output.match(/Listening on (http:\/\/\S+),/)?.[1];
    };
    this.#npm.stdout.on("data", read);
    this.#npm.stderr.on("data", read);
    this.#ended = new Promise((resolve) => {
      this.#npm.on("close", () => {
        this.#hasEnded = true;
        resolve();
      });
    });
  }

  /** @throws what the server has printed, if it ends instead */
  async hasStarted(): Promise<void> {
    // Less than a test has, which would otherwise leave the server behind.
    await eventually("the server listens", () => this.#url || this.#hasEnded, { seconds: 100 }).catch(() => {});
    if (this.#url) return;
    await this.dispose();
    throw new Error(`The server did not start: ${this.#output}`);
  }

  get url(): string {
    return this.#url ?? expect.fail("The server has not started.");
  }

  /** What the server has printed. */
  output(): string {
    return this.#output;
  }

  /** Any request; `body` is JSON, or sent as it is if it is a string. */
  send(method: string, path: string, userId: string, body?: unknown): Promise<Response> {
    const headers = { "x-user-id": userId, ...(body === undefined ? {} : { "content-type": "application/json" }) };
    return this.fetch(path, { method, headers, ...(body === undefined ? {} : { body: textIn(body) }) });
  }

  fetch(path: string, init?: RequestInit): Promise<Response> {
    return fetch(this.url + path, init);
  }

  get(path: string, userId: string): Promise<Response> {
    return this.send("GET", path, userId);
  }

  async getJson<T>(path: string, userId: string): Promise<T> {
    const response = await this.get(path, userId);
    expect(response.status).toBe(200);
    return response.json() as Promise<T>;
  }

  /** The package's own client, as the user's browser has it. */
  client(userId: string): ChatClient {
    return createChatClient({ basePath: `${this.url}/api/chat`, headers: { "x-user-id": userId } });
  }

  /** Those that are not archived. */
  async getChats(userId: string): Promise<ClientChat[]> {
    return (await this.client(userId).list()).chats;
  }

  /** The chat with its messages, of which the tests have fewer than a page holds. */
  async getChat(id: string, userId: string): Promise<StoredChat> {
    const page = (await this.client(userId).get(id)) ?? expect.fail(`There is no chat ${id}.`);
    expect(page.hasMore).toBe(false);
    return { ...page.chat, messages: page.messages };
  }

  /** Sends a question, or any other body, as it is. */
  postQuestion(body: unknown, headers: Record<string, string>): Promise<Response> {
    const init = { method: "POST", headers: { "content-type": "application/json", ...headers } };
    return this.fetch("/api/chat", { ...init, body: textIn(body) });
  }

  /** A page with a chat: a new one, or one that the page has loaded. */
  openChat(userId: string, { id = randomUUID(), messages, version }: Partial<StoredChat> = {}): ChatOnPage {
    const transport = this.client(userId).transport({ version });
    return new ChatOnPage({ id, transport, ...(messages && { messages }) });
  }

  /** As a process manager would: the signal goes to npm. Resolves to the exit code. */
  async stop(): Promise<number | null> {
    this.#npm.kill("SIGTERM");
    await this.#ended;
    return this.#npm.exitCode;
  }

  /** Sends a signal to npm and to the server, as a terminal would. */
  signal(name: NodeJS.Signals): void {
    process.kill(-(this.#npm.pid ?? expect.fail()), name);
  }

  /** Ends both at once, without a chance to finish anything. */
  async kill(): Promise<void> {
    try {
      if (!this.#hasEnded) this.signal("SIGKILL");
    } catch {
      // Both have just ended by themselves.
    }
    await this.#ended;
  }

  /** Resolves when the server accepts no connection any more: it has begun to stop. */
  async hasBegunToStop(): Promise<void> {
    const { hostname, port } = new URL(this.url);
    await expect
      .poll(async () => {
        const socket = connect(Number(port), hostname);
        const opened = await once(socket, "connect").catch((error: NodeJS.ErrnoException) => error.code);
        socket.destroy();
        return opened;
      })
      .toBe("ECONNREFUSED");
  }

  /** Leaves no process and no folder behind. */
  async dispose(): Promise<void> {
    await this.kill();
    await rm(this.dataDir, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Starts the example with nothing of this process's settings. By default it has a folder with an empty database. */
export async function startServer(settings: Settings = {}): Promise<ExampleServer> {
  const DATA_DIR = settings.DATA_DIR ?? (await newFolder());
  if (!settings.DATA_DIR && !settings.DATABASE_URL) await run("tar", ["-xf", inject("emptyPglite"), "-C", DATA_DIR]);
  const server = new ExampleServer({ ...settings, DATA_DIR });
  await server.hasStarted();
  return server;
}

/** Starts a server that ends with the test. */
export async function startForTest(settings?: Settings): Promise<ExampleServer> {
  const server = await startServer(settings);
  onTestFinished(() => server.dispose());
  return server;
}

/** A folder without a database: the server makes one, which takes it some seconds. */
export const newFolder = () => mkdtemp(join(tmpdir(), "express-example-"));

export const newUser = () => `user-${randomUUID()}`;

/** A value as it is after a way through JSON. */
export const asJson = <T>(value: T): T => JSON.parse(JSON.stringify(value));

const textIn = (body: unknown) => (typeof body === "string" ? body : JSON.stringify(body));

export async function ask(chat: ChatOnPage, text: string): Promise<void> {
  await chat.sendMessage({ text });
  expect(chat.error).toBeUndefined();
}

/** A chat of two questions and their answers. */
export async function askTwice(server: ExampleServer, userId: string) {
  const chat = server.openChat(userId);
  await ask(chat, "One?");
  await ask(chat, "Two?");
  const [first, , second] = chat.messages.map(({ id }) => id);
  return { id: chat.id, path: `/api/chat/${chat.id}`, first: first ?? "", second: second ?? "" };
}

/** An answer of which the client shows the first words, and which goes on when the test says so. */
export interface AnswerUnderWay extends HeldAnswer {
  firstWords: string;
  /** Resolves when the client has got the whole response. */
  asked: Promise<void>;
}

/** Asks, and returns as soon as the client shows the first words of the answer. */
export async function askAndHold(model: ModelServer, chat: ChatOnPage, text: string): Promise<AnswerUnderWay> {
  const held = model.hold(text);
  const questions = chat.messages.filter(({ role }) => role === "user").map((message) => textOf(message) ?? "");
  const firstWords = firstWordsOf(answerTo([...questions, text]));
  const asked = chat.sendMessage({ text });
  await expectToShow(chat, firstWords);
  return { ...held, firstWords, asked };
}

/** Asks, and leaves when the first words of the answer have arrived. */
export async function askAndLeave(model: ModelServer, chat: ChatOnPage, text: string): Promise<AnswerUnderWay> {
  const answer = await askAndHold(model, chat, text);
  await chat.stop();
  await answer.asked;
  return answer;
}

/** Waits until this is the whole text of the chat's last message. */
export const expectToShow = (chat: ChatOnPage, text: string) =>
  expect.poll(() => textOf(chat.messages.at(-1))).toBe(text);

/** Expects an error in JSON, whose code belongs to its status, without a stack. Returns the text of the response. */
export async function expectError(response: Response, status: number): Promise<string> {
  const text = await response.text();
  expect([response.status, text]).toEqual([status, expect.any(String)]);
  expect(response.headers.get("content-type")).toMatch(/^application\/json/);
  const body = JSON.parse(text) as ChatErrorBody;
  expect(body).toEqual({ error: { code: expect.any(String), message: expect.stringMatching(/./) } });
  expect(statusOf[body.error.code]).toBe(status);
  expect(body.error.message).not.toMatch(/node_modules|\n +at |\.[tj]s:\d/);
  return text;
}

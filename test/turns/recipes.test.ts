import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as ai from "ai";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type WebSocket, WebSocketServer, WebSocket as WsClient } from "ws";
import { z } from "zod";
import { type ChatStore, createChatStore, type Turn } from "../../src/index.ts";
import { PlainState, serve, TestChat } from "../support/chat-server.ts";
import { say, textOf } from "../support/conversations.ts";
import { databases, type TestDatabase } from "../support/databases.ts";
import { temporaryFolder } from "../support/folder.ts";
import { type Block, blocksOf } from "../support/pages.ts";
import { speaker } from "../support/scripted-model.ts";
import { call, model as modelOf, text } from "../support/sdk-messages.ts";

// The recipes of docs/turns.md, run as they are printed.

const [embedded] = databases as [(typeof databases)[number]];
const folder = temporaryFolder("recipes");

let database: TestDatabase;
let store: ChatStore;
beforeAll(async () => {
  database = await embedded.open();
  store = createChatStore(database.db);
});
afterAll(async () => {
  Reflect.deleteProperty(globalThis, "application");
  await database.close();
});

/** What an application imports in the recipes. */
function application(model: ai.LanguageModel, tools: ai.ToolSet = {}) {
  Object.assign(globalThis, { application: { store, model, tools } });
}

const isNoted = (note: string) => (block: Block) => block.note === note;

/** The exports of a recipe. `tools` and `model` are read when it is imported: each import is a new one. */
async function printed<Recipe>(which: (block: Block) => boolean, moduleOf = (text: string) => text): Promise<Recipe> {
  const block = blocksOf("docs/turns.md").find(which) ?? expect.fail("There is no such recipe.");
  const name = randomUUID();
  const chat = `const { model, store, tools } = globalThis.application;
export { model, store, tools };
export const userIdOf = async (request) => request.headers.get("x-user-id");
`;
  await writeFile(join(folder, `${name}-chat.ts`), chat);
  await writeFile(join(folder, `${name}.ts`), moduleOf(block.text).replace(`"./chat"`, `"./${name}-chat"`));
  return import(/* @vite-ignore */ join(folder, `${name}.ts`));
}

const storedTexts = async (chatId: string) =>
  (await store.getChat({ userId: "u", chatId }))?.messages.map((message) => textOf(message));

describe("the recipe for an agent", () => {
  test("the agent answers the next question after a call that nobody has answered, and after one that a stop cut off", async () => {
    const model = modelOf([call("ask"), call("wait"), text("Fine.")]);
    const tools: ai.ToolSet = {
      ask: ai.tool({ inputSchema: z.object({}) }),
      wait: ai.tool({
        inputSchema: z.object({}),
        execute: (_, { abortSignal }) => sleep(600_000, "late", { signal: abortSignal, ref: false }),
      }),
    };
    application(model, tools);
    const { POST } = await printed<{ POST: (request: Request) => Promise<Response> }>(isNoted("agent"));
    const server = await serve(POST);
    onTestFinished(() => void server.close());
    const chat = new TestChat({ id: randomUUID(), url: server.url });
    await chat.sendMessage({ text: "Ask me" });
    const waiting = chat.sendMessage({ text: "Wait" });
    const states = () => chat.messages.at(-1)?.parts.map((part) => ("state" in part ? part.state : part.type));
    await expect.poll(states).toContain("input-available");
    expect(await store.stopTurn({ userId: "u", chatId: chat.id })).toBe(true);
    await waiting;
    await chat.sendMessage({ text: "Go on" });
    expect(chat.error).toBeUndefined();
    expect(textOf(chat.messages.at(-1))).toBe("Fine.");
  });
});

describe("the recipe for platforms that freeze a process", () => {
  test("the promise for waitUntil resolves when the answer is stored, although the browser has left", async () => {
    const { respond } = await printed<{
      respond(turn: Turn, result: unknown, waitUntil: (promise: Promise<unknown>) => void): Response;
    }>(
      ({ text }) => text.includes("waitUntil("),
      (text) =>
        `import { createUIMessageStreamResponse, toUIMessageStream } from "ai";\nexport function respond(turn, result, waitUntil) {\n${text}}\n`,
    );
    const chatId = randomUUID();
    const turn = await store.startTurn({ userId: "u", chatId, message: say("user", "Hi") });
    const { model, say: speak, finish } = speaker();
    const result = ai.streamText({ model, messages: await ai.convertToModelMessages(turn.messages) });
    const awaited: Promise<unknown>[] = [];
    const response = respond(turn, result, (promise) => void awaited.push(promise));
    speak("Hello");
    await response.body?.cancel();
    expect(await storedTexts(chatId)).toEqual(["Hi"]);
    speak(" there.");
    await finish();
    expect(awaited).toHaveLength(1);
    await Promise.all(awaited);
    expect(await storedTexts(chatId)).toEqual(["Hi", "Hello there."]);
  });
});

describe("the recipe for a WebSocket", () => {
  class SocketChat extends ai.AbstractChat<ai.UIMessage> {}

  async function open(model: ai.LanguageModel) {
    application(model);
    const { answerFrames } = await printed<{ answerFrames(socket: WebSocket, userId: string): void }>(
      isNoted("web socket"),
    );
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1" }).on("connection", (socket) =>
      answerFrames(socket, "u"),
    );
    onTestFinished(() => {
      for (const client of server.clients) client.terminate();
      server.close();
    });
    if (server.address() === null) await new Promise((resolve) => server.once("listening", resolve));
    const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const chatOf = (id: string, messages: ai.UIMessage[] = [], version?: number) =>
      new SocketChat({
        id,
        state: new PlainState(messages),
        transport: new ai.WebSocketChatTransport({
          url,
          webSocket: WsClient as never,
          prepareSendMessagesRequest: ({ messages }) => ({ messages: messages.slice(-1) }),
          prepareReconnectToStreamRequest: () => ({ body: { version } }),
        }),
        onError: () => {},
      });
    return { url, chatOf };
  }

  test("a page asks and another one joins over a WebSocket, and both show what is stored", async () => {
    const { model, say: speak, finish } = speaker();
    const { chatOf } = await open(model);
    const id = randomUUID();
    const chat = chatOf(id);
    const asked = chat.sendMessage({ text: "Hi" });
    speak("Hello");
    await expect.poll(() => textOf(chat.messages[1])).toBe("Hello");
    const joining = chatOf(id, (await store.getChat({ userId: "u", chatId: id }))?.messages);
    const joined = joining.resumeStream();
    await expect.poll(() => textOf(joining.messages[1])).toBe("Hello");
    speak(" there.");
    await finish();
    await Promise.all([asked, joined]);
    expect(await storedTexts(id)).toEqual(["Hi", "Hello there."]);
    expect([chat, joining].map(({ messages }) => textOf(messages[1]))).toEqual(["Hello there.", "Hello there."]);

    // When nothing runs, a page with the chat's version gets nothing, and one with an older version the answer.
    const stored = await store.getChat({ userId: "u", chatId: id });
    const current = chatOf(id, stored?.messages, stored?.version);
    await current.resumeStream();
    expect(current.messages).toHaveLength(2);
    const late = chatOf(id, stored?.messages.slice(0, 1), 1);
    await late.resumeStream();
    expect(textOf(late.messages[1])).toBe("Hello there.");
  });

  test("an answer over a WebSocket goes on when its page stops listening, and ends for all when it is stopped", async () => {
    const { model, say: speak } = speaker();
    const { chatOf } = await open(model);
    const id = randomUUID();
    const chat = chatOf(id);
    const asked = chat.sendMessage({ text: "Hi" });
    speak("Hello");
    await expect.poll(() => textOf(chat.messages[1])).toBe("Hello");
    await chat.stop();
    await asked;
    const joining = chatOf(id, (await store.getChat({ userId: "u", chatId: id }))?.messages);
    const joined = joining.resumeStream();
    speak(" there.");
    await expect.poll(() => textOf(joining.messages[1])).toBe("Hello there.");
    expect(await store.stopTurn({ userId: "u", chatId: id })).toBe(true);
    speak(" More.");
    await joined;
    expect((await storedTexts(id))?.[1]).toMatch(/^Hello there\./);
  });

  test("a connection that sends something else than a frame is closed, and the server lives on", async () => {
    const { model } = speaker();
    const { url } = await open(model);
    for (const frame of ["{", "null", "{}"]) {
      const socket = new WsClient(url);
      const closed = new Promise((resolve) => socket.on("close", resolve));
      socket.on("open", () => socket.send(frame));
      expect(await closed).toBe(1008);
    }
  });
});

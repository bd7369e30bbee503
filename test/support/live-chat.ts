import { randomUUID } from "node:crypto";
import type { AbstractChat, ChatInit, UIMessage } from "ai";
import { afterAll, beforeAll, expect } from "vitest";
import type { ChatClient, ChatClientOptions, ChatTransportOptions } from "../../src/client.ts";
import type { ChatHandlerOptions } from "../../src/handler.ts";
import type { ChatStore, ChatStoreOptions } from "../../src/index.ts";
import { PlainState, serve } from "./chat-server.ts";
import { textOf } from "./conversations.ts";
import { nodePostgres, openWith, type TestDatabase } from "./databases.ts";
import { dyingProcess } from "./dying-process.ts";
import { eventually } from "./eventually.ts";
import { temporaryFolder } from "./folder.ts";
import { loadWith, type Sdk } from "./sdks.ts";

/** A model that was asked, and says what the test lets it say. */
export interface Voice {
  prompt: unknown;
  signal: AbortSignal | undefined;
  say(delta: string): void;
  /** Parts of the model's stream. */
  speak(...parts: object[]): void;
  call(toolName: string, toolCallId?: string): void;
  finish(reason?: string): void;
  fail(): void;
}

export interface Tab extends AbstractChat<UIMessage> {
  /** The callbacks of the page that were called. */
  heard: string[];
  /** Waits until the text of the last message is this one. */
  shows(text: string): Promise<unknown>;
}

export type TabOptions = Omit<ChatInit<UIMessage>, "id" | "transport"> &
  ChatTransportOptions & { client?: ChatClient; isNew?: boolean };

export type LiveChatOptions = Partial<ChatHandlerOptions<UIMessage, unknown, unknown>> & {
  messages?: UIMessage[];
  client?: ChatClientOptions;
  /** Of the stores. */
  settings?: ChatStoreOptions;
};

/** Opens chats for the tests of a `describe`: they share a database. */
export function liveChats(sdk: Sdk) {
  const folder = temporaryFolder("live-chats");
  let database: TestDatabase;
  let own: Awaited<ReturnType<typeof loadWith>>;
  const servers: Awaited<ReturnType<typeof serve>>[] = [];
  beforeAll(async () => {
    [database, own] = await Promise.all([openWith(nodePostgres), loadWith(sdk, folder)]);
  });
  afterAll(async () => {
    await Promise.all(servers.map((server) => server.close()));
    await Promise.all(servers.map((server) => server.idle()));
    await database.close();
  });

  /** A chat behind the handler, on a server of its own. */
  return async function open({ messages = [], client: clientOptions, settings, ...options }: LiveChatOptions = {}) {
    const ids = { userId: "u", chatId: randomUUID() };
    const store: ChatStore = own.createChatStore(database.db, settings);
    if (messages.length > 0) await store.upsertChat({ ...ids, messages });
    const process = dyingProcess(database.db);
    const voices: Voice[] = [];
    const faults: unknown[] = [];
    const handler = own.createChatHandler<UIMessage, unknown, unknown>({
      store: own.createChatStore(process.db, settings),
      userId: (request) => request.headers.get("x-user-id"),
      onError: (error) => void faults.push(error),
      answer: ({ modelMessages, abortSignal }) => answerWith(modelMessages, abortSignal),
      ...options,
    });
    const server = await serve(handler);
    servers.push(server);

    function answerWith(modelMessages: unknown, abortSignal: AbortSignal) {
      const model = sdk.mockModel(async ({ prompt, abortSignal: signal }) => {
        const { voice, stream } = createVoice(sdk, prompt, signal);
        voices.push(voice);
        return { stream };
      });
      const { tools } = options;
      const asked = { model, messages: modelMessages, tools, abortSignal, maxRetries: 0, onError: () => {} };
      return sdk.ai.streamText(asked as never);
    }

    const createClient = (more: ChatClientOptions = {}) =>
      own.createChatClient({
        basePath: `${server.url}api/chat`,
        headers: { "x-user-id": ids.userId },
        ...clientOptions,
        ...more,
      });
    const client = createClient();

    const storedMessages = async () => (await store.getChat(ids))?.messages ?? [];
    const isIdle = async () => {
      const running = "select from chat_store.turns where chat_id = $1 and ended_at is null and not superseded";
      return (await database.query(running, [ids.chatId])).length === 0;
    };

    return {
      ...ids,
      ...own,
      store,
      server,
      voices,
      faults,
      client,
      createClient,
      answerWith,
      stored: storedMessages,
      isIdle,

      /** The model, once it was asked so many times. */
      voice: (count = 1) => eventually(`the model is asked ${count} times`, () => voices[count - 1]),

      /** A page that is loaded now. One that `isNew` has not been loaded from the server. */
      async openTab({ isNew, client: own = client, version, body, ...init }: TabOptions = {}): Promise<Tab> {
        const page = isNew ? null : await own.get(ids.chatId);
        const render = () => own.transport({ version: version ?? page?.chat.version, body });
        // As useChat does, whose page makes a transport with each render.
        const transport: ReturnType<typeof render> = {
          ...render(),
          sendMessages: (options) => render().sendMessages(options),
          reconnectToStream: (options) => render().reconnectToStream(options),
        };
        const heard: string[] = [];
        const tab = new (class extends sdk.ai.AbstractChat<UIMessage> {})({
          id: ids.chatId,
          transport,
          state: new PlainState(page?.messages),
          onError: () => {},
          onToolCall: ({ toolCall }) => void heard.push(`tool ${toolCall.toolName}`),
          onData: ({ type }) => void heard.push(type),
          onFinish: ({ isAbort, isDisconnect, isError }) => {
            const flags = Object.entries({ isAbort, isDisconnect, isError }).filter(([, isSet]) => isSet);
            heard.push(["finish", ...flags.map(([name]) => name)].join(" "));
          },
          ...init,
        });
        const shows = (text: string) =>
          eventually(`the page shows "${text}"`, () => textOf(tab.messages.at(-1)) === text);
        return Object.assign(tab, { heard, shows }) as Tab;
      },

      /** The pages show the messages that are stored, and wait for nothing, and no turn is running. */
      async expectShown(...tabs: Tab[]) {
        await eventually("no turn is running", isIdle);
        const stored = await storedMessages();
        for (const tab of tabs) {
          expect(shown(tab)).toEqual(stored);
          expect(tab.status).toBe("ready");
        }
        return stored;
      },

      /** The process that writes the answer dies, and more time passes than a turn may be silent for. */
      async die() {
        await process.die();
        const setBack = "update chat_store.turns set beat_at = now() - interval '11 seconds' where chat_id = $1";
        await database.query(setBack, [ids.chatId]);
      },
      comeBack: process.comeBack,
    };
  };
}

export const shown = (tab: Pick<Tab, "messages">) => JSON.parse(JSON.stringify(tab.messages)) as UIMessage[];

export function createVoice({ finish }: Sdk, prompt: unknown, signal: AbortSignal | undefined) {
  let controller: ReadableStreamDefaultController<object>;
  const stream = new ReadableStream<object>({
    start: (own) => {
      controller = own;
    },
  });
  const speak = (...parts: object[]) => {
    if (!signal?.aborted) for (const part of parts) controller.enqueue(part);
  };
  signal?.addEventListener("abort", () => controller.error(signal.reason));
  let hasText = false;
  speak({ type: "stream-start", warnings: [] });
  const endText = () => {
    if (hasText) speak({ type: "text-end", id: "1" });
    hasText = false;
  };
  const voice: Voice = {
    prompt,
    signal,
    speak,
    say(delta) {
      if (!hasText) speak({ type: "text-start", id: "1" });
      hasText = true;
      speak({ type: "text-delta", id: "1", delta });
    },
    call(toolName, toolCallId = "t1") {
      endText();
      speak({ type: "tool-call", toolCallId, toolName, input: "{}" });
    },
    finish(reason = "stop") {
      endText();
      speak({ type: "finish", ...finish(reason) });
      if (!signal?.aborted) controller.close();
    },
    fail() {
      speak({ type: "error", error: new Error("The provider failed.") });
      if (!signal?.aborted) controller.close();
    },
  };
  return { voice, stream };
}

import { randomUUID } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { UIMessage } from "ai";
import type { Browser, BrowserContext } from "playwright-core";
import { test as anyTest, expect } from "vitest";
import type { ChatHandlerOptions } from "../../src/handler.ts";
import type { ChatStoreOptions } from "../../src/index.ts";
import { nextChatId } from "./chat-ids.ts";
import { serve } from "./chat-server.ts";
import { launchChromium } from "./chromium.ts";
import { say } from "./conversations.ts";
import { nodePostgres, openWith } from "./databases.ts";
import { dyingProcess } from "./dying-process.ts";
import { eventually } from "./eventually.ts";
import { createVoice, type Voice } from "./live-chat.ts";
import { root } from "./pack.ts";
import { cached, html, scriptOf, type Versions } from "./react-page/bundle.ts";
import { type Tab, tabOf, type View } from "./react-page/tab.ts";
import { loadWith, type Sdk, sdks } from "./sdks.ts";

// The hooks in Chromium, in React's strict mode, with the handler behind them.

const newest: Versions = { react: 19, ai: 7 };
export const matrix: Versions[] = [{ react: 18, ai: 5 }, { react: 19, ai: 6 }, newest, { react: 18, ai: 7 }];

/** What the server does with a request. `next` passes it on to the handler. */
type Intercept = (request: Request, next: (request: Request) => Promise<Response>) => Promise<Response>;

export type AppOptions = Partial<ChatHandlerOptions<UIMessage, unknown, unknown>> & {
  /** Of the stores. */
  settings?: ChatStoreOptions;
};

interface Shared {
  browser: Browser;
  database: Awaited<ReturnType<typeof openWith>>;
  folder: string;
}

const loaded = new Map<string, ReturnType<typeof loadWith>>();

/** A test that opens applications: each has a user, a server and a browser's context of its own. They share Chromium. */
export const test = anyTest
  // biome-ignore lint/correctness/noEmptyPattern: Vitest reads from it which fixtures this one needs.
  .extend("shared", { scope: "worker" }, async ({}, { onCleanup }): Promise<Shared> => {
    const folder = join(root, ".data", `react-${randomUUID()}`);
    await mkdir(folder, { recursive: true });
    const [browser, database] = await Promise.all([launchChromium(), openWith(nodePostgres)]);
    onCleanup(async () => {
      await browser.close();
      await database.close();
      await rm(folder, { recursive: true });
    });
    return { browser, database, folder };
  })
  .extend("open", async ({ shared }, { onCleanup }) => {
    const opened: Awaited<ReturnType<typeof openApp>>[] = [];
    onCleanup(async () => {
      for (const app of opened) await app.close();
    });
    return async (options: AppOptions = {}, versions = newest) => {
      const app = await openApp(shared, versions, options);
      opened.push(app);
      return app;
    };
  });

export type App = Awaited<ReturnType<typeof openApp>>;

/** A stored chat in a tab, and a question in it whose answer has begun: "Be". */
export async function beginAnswer(app: App) {
  const chatId = await app.addChat();
  const tab = await app.openTab({ chat: { id: chatId } });
  await app.expectShown(chatId, tab);
  await tab.ask("Why?");
  const voice = await app.voice();
  voice.say("Be");
  await tab.shows("Be");
  return { chatId, tab, voice };
}

export type { Tab };

async function openApp(
  { browser, database, folder }: Shared,
  versions: Versions,
  { settings, ...options }: AppOptions,
) {
  const userId = randomUUID();
  const sdk = sdks.find(({ name }) => name === `ai ${versions.ai}`) as Sdk;
  const [own, script] = await Promise.all([cached(loaded, sdk.name, () => loadWith(sdk, folder)), scriptOf(versions)]);
  const store = own.createChatStore(database.db, settings);
  const voices: Voice[] = [];
  const faults: unknown[] = [];
  const requests: string[] = [];
  const inFlight = new Set<string>();
  const releases: (() => void)[] = [];
  const allowed = ["Failed to load resource"];
  const complaints: string[] = [];
  let process = dyingProcess(database.db);
  let intercept: Intercept = (request, next) => next(request);

  function createHandler() {
    const handlerStore = own.createChatStore(process.db, settings);
    return own.createChatHandler<UIMessage, unknown, unknown>({
      store: handlerStore,
      userId: () => userId,
      onError: (error) => void faults.push(error),
      answer: ({ modelMessages, abortSignal }) => answerWith(modelMessages, abortSignal),
      ...options,
    });
  }
  let handler = createHandler();

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

  const server = await serve(async (request, closed) => {
    const { pathname, search } = new URL(request.url);
    if (pathname === "/page.js") return new Response(script, { headers: { "content-type": "text/javascript" } });
    if (!pathname.startsWith("/api/chat")) return new Response(html, { headers: { "content-type": "text/html" } });
    const name = `${request.method} ${pathname.slice("/api/chat".length)}${search}`;
    requests.push(name);
    inFlight.add(name);
    closed.addEventListener("abort", () => inFlight.delete(name));
    return intercept(request, (request) => handler(request));
  });

  const newContext = async () => {
    const context = await browser.newContext();
    context.setDefaultTimeout(60_000);
    context.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) complaints.push(message.text());
    });
    context.on("weberror", (error) => complaints.push(String(error.error())));
    return context;
  };
  const context = await newContext();
  const contexts = [context];
  const tabs: Tab[] = [];

  const isIdle = async () => {
    const running =
      "select from chat_store.turns join chat_store.chats on chats.id = chat_id where user_id = $1 and ended_at is null and not superseded";
    return (await database.query(running, [userId])).length === 0;
  };
  const stored = async (chatId: string) => (await store.getChat({ userId, chatId }))?.messages ?? [];

  async function openTab(views: Record<string, object> = {}, own: BrowserContext = context): Promise<Tab> {
    const page = await own.newPage();
    await page.goto(server.url);
    const tab = tabOf(page);
    tabs.push(tab);
    await tab.show(views);
    return tab;
  }

  return {
    userId,
    sdk,
    store,
    server,
    context,
    voices,
    faults,
    requests,
    inFlight,
    isIdle,
    stored,
    openTab,
    answerWith,

    /** Another device: nothing of the browser tells it what the first one does. */
    async openDevice(views: Record<string, object> = {}) {
      const device = await newContext();
      contexts.push(device);
      return openTab(views, device);
    },

    /** Stores a chat, with a question and an answer by default. Returns its id. */
    async addChat(messages: UIMessage[] = [say("user", "Hi"), say("assistant", "Hello.")], title?: string) {
      const { id } = await store.upsertChat({ userId, chatId: nextChatId(), title, messages });
      return id;
    },

    /** What a server component would give the page. */
    async pageOf(chatId: string, limit = 30) {
      const page = await store.getMessages({ userId, chatId, limit });
      if (!page) throw new Error("There is no such chat.");
      return page;
    },

    /** The model, once it was asked so many times. */
    voice: (count = 1) => eventually(`the model is asked ${count} times`, () => voices[count - 1]),

    /** From now on, the server does this with each request to the chat handler. */
    intercept(next: Intercept) {
      intercept = next;
    },

    /** Holds back the requests whose method and path match, until `release` is called. */
    hold(pattern: RegExp) {
      let release = () => {};
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      releases.push(() => release());
      const held: string[] = [];
      const before = intercept;
      intercept = async (request, next) => {
        const name = `${request.method} ${new URL(request.url).pathname.slice("/api/chat".length)}`;
        if (pattern.test(name)) {
          held.push(name);
          await released;
        }
        return before(request, next);
      };
      return { held, release };
    },

    /** From now on, the server refuses the requests whose method and path match, until it `accepts` again. */
    refuse(pattern: RegExp, status: number, code?: string, headers: Record<string, string> = {}) {
      const before = intercept;
      intercept = async (request, next) => {
        const name = `${request.method} ${new URL(request.url).pathname.slice("/api/chat".length)}`;
        if (!pattern.test(name)) return before(request, next);
        const body = code ? JSON.stringify({ error: { code, message: "So it is." } }) : "<html>";
        return new Response(body, { status, headers });
      };
      return { accept: () => (intercept = before) };
    },

    /** The browser may complain of this in this test. */
    allowComplaint: (part: string) => void allowed.push(part),

    /** The process that writes the answer dies, and more time passes than a turn may be silent for. Another one serves. */
    async die() {
      await process.die();
      const setBack =
        "update chat_store.turns set beat_at = now() - interval '11 seconds' from chat_store.chats where chats.id = chat_id and user_id = $1";
      await database.query(setBack, [userId]);
      process = dyingProcess(database.db);
      handler = createHandler();
      server.disconnect();
    },

    /** The view shows the messages that are stored, waits for nothing, and no turn is running. */
    async expectShown(chatId: string, tab: Tab, name = "chat") {
      await eventually("no turn is running", isIdle);
      const messages = await stored(chatId);
      const version = (await store.getChat({ userId, chatId }))?.version;
      const isShown = (view: View) =>
        isDeepStrictEqual(view.messages, messages) &&
        view.chat?.version === version &&
        view.status === "ready" &&
        view.loadStatus === "loaded" &&
        !view.error;
      await tab.until("the stored messages are shown", isShown, name).catch(async (cause) => {
        expect((await tab.read(name)).messages, String(cause)).toEqual(messages);
        throw cause;
      });
      return messages;
    },

    /** The view shows the messages that are stored, while other turns of the user are running. */
    async expectShownWhileBusy(chatId: string, tab: Tab, name = "chat") {
      const messages = await stored(chatId);
      await tab.until("the stored messages are shown", (view) => isDeepStrictEqual(view.messages, messages), name);
      await tab.ready(name);
    },

    /** The page still shows these texts, and the error, once it has loaded the chat again. */
    async expectShownUnsent(tab: Tab, texts: string[]) {
      await tab.call("reload");
      expect(await tab.read()).toMatchObject({ texts, status: "error", loadStatus: "loaded", loadError: undefined });
    },

    async close() {
      for (const release of releases) release();
      for (const tab of tabs) await tab.expectNothingWrong();
      await Promise.all(contexts.map((context) => context.close()));
      await server.close();
      await server.idle();
      const unexpected = complaints.filter((text) => !allowed.some((part) => text.includes(part)));
      expect(unexpected, "errors and warnings in the browser's console").toEqual([]);
    },
  };
}

export { say };

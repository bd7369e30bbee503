import { randomUUID } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { UIMessage } from "ai";
import { build } from "esbuild";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { test as anyTest, expect } from "vitest";
import type { ChatClient } from "../../src/client.ts";
import type { ChatHandlerOptions } from "../../src/handler.ts";
import type { UseChatsResult, UseStoredChatResult } from "../../src/react.ts";
import { serve } from "./chat-server.ts";
import { say, textOf } from "./conversations.ts";
import { nodePostgres, openWith } from "./databases.ts";
import { dyingProcess } from "./dying-process.ts";
import { eventually } from "./eventually.ts";
import { createVoice, type Voice } from "./live-chat.ts";
import { root } from "./pack.ts";
import { loadWith, type Sdk, sdks } from "./sdks.ts";

// The hooks in Chromium, in React's strict mode, with the handler behind them.

/** Versions of React and of the SDK that belong together. */
export interface Versions {
  react: 18 | 19;
  ai: 5 | 6 | 7;
}

export const newest: Versions = { react: 19, ai: 7 };
export const matrix: Versions[] = [{ react: 18, ai: 5 }, { react: 19, ai: 6 }, newest, { react: 18, ai: 7 }];

/** What the server does with a request. `next` passes it on to the handler. */
type Intercept = (request: Request, next: (request: Request) => Promise<Response>) => Promise<Response>;

export type AppOptions = Partial<ChatHandlerOptions<UIMessage, unknown, unknown>>;

interface Shared {
  browser: Browser;
  database: Awaited<ReturnType<typeof openWith>>;
  folder: string;
}

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

/** What `useStoredChat` or `useChats` returned in the latest render, as far as it can leave the browser. */
export type View = Omit<UseChatsResult, "loadStatus" | "loadError"> &
  Pick<UseStoredChatResult, "messages" | "status" | "chat" | "hasMore" | "isLoadingOlder"> & {
    loadStatus: UseStoredChatResult["loadStatus"];
    error: ErrorView | undefined;
    loadError: ErrorView | undefined;
    texts: string[];
    ids: string[];
  };

interface ErrorView {
  name: string;
  message: string;
  code?: string;
  isRetryable?: boolean;
}

export type App = Awaited<ReturnType<typeof openApp>>;
export type Tab = ReturnType<typeof tabOf>;

async function openApp({ browser, database, folder }: Shared, versions: Versions, options: AppOptions) {
  const userId = randomUUID();
  const sdk = sdks.find(({ name }) => name === `ai ${versions.ai}`) as Sdk;
  const [own, script] = await Promise.all([cached(loaded, sdk.name, () => loadWith(sdk, folder)), scriptOf(versions)]);
  const store = own.createChatStore(database.db);
  const voices: Voice[] = [];
  const faults: unknown[] = [];
  const requests: string[] = [];
  const inFlight = new Set<string>();
  const allowed = ["Failed to load resource"];
  const complaints: string[] = [];
  let process = dyingProcess(database.db);
  let intercept: Intercept = (request, next) => next(request);

  function createHandler() {
    const handlerStore = own.createChatStore(process.db);
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

  const server = await serve(async (request) => {
    const { pathname, search } = new URL(request.url);
    if (pathname === "/page.js") return new Response(script, { headers: { "content-type": "text/javascript" } });
    if (!pathname.startsWith("/api/chat")) return new Response(html, { headers: { "content-type": "text/html" } });
    const name = `${request.method} ${pathname.slice("/api/chat".length)}${search}`;
    requests.push(name);
    inFlight.add(name);
    request.signal.addEventListener("abort", () => inFlight.delete(name));
    return intercept(request, (request) => handler(request));
  });

  const newContext = async () => {
    const context = await browser.newContext();
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
      const { id } = await store.upsertChat({ userId, chatId: randomUUID(), title, messages });
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
      for (const tab of tabs) await tab.expectNothingWrong();
      await Promise.all(contexts.map((context) => context.close()));
      await server.close();
      await server.idle();
      const unexpected = complaints.filter((text) => !allowed.some((part) => text.includes(part)));
      expect(unexpected, "errors and warnings in the browser's console").toEqual([]);
    },
  };
}

interface Commit {
  name: string;
  id?: string;
  resultId?: string;
  chatId?: string;
  status?: string;
  loadStatus?: string;
  ids: string[];
  texts: string[];
  titles: string[];
}

interface Global {
  show(views: Record<string, object>): void;
  results: Record<string, UseStoredChatResult & UseChatsResult>;
  commits: Commit[];
  heard: string[];
  outputs: Record<string, unknown>;
  client: ChatClient;
  isUnfinished(message: UIMessage): boolean;
}

function tabOf(page: Page) {
  const read = (name = "chat"): Promise<View> =>
    page.evaluate((name) => {
      const toView = (error?: Error & { code?: string; isRetryable?: boolean }) =>
        error && { name: error.name, message: error.message, code: error.code, isRetryable: error.isRetryable };
      const { results } = globalThis as unknown as Global;
      const { messages, chats, error, loadError, ...result } = results[name] as UseStoredChatResult & UseChatsResult;
      const plain = Object.fromEntries(Object.entries(result).filter(([, value]) => typeof value !== "function"));
      const textOf = ({ parts }: UIMessage) => parts.map((part) => ("text" in part ? part.text : "")).join("");
      return {
        ...plain,
        chats,
        messages: messages && JSON.parse(JSON.stringify(messages)),
        texts: messages?.map(textOf),
        ids: messages?.map(({ id }) => id),
        error: toView(error as Error),
        loadError: toView(loadError as Error),
      } as never;
    }, name);

  return {
    page,
    read,

    /** Adds views, gives them new options, or with `null` takes them away. */
    async show(views: Record<string, object | null>) {
      await page.waitForFunction(() => "show" in globalThis);
      await page.evaluate((views) => {
        (globalThis as unknown as Global).show(views as never);
      }, views);
      for (const [name, view] of Object.entries(views)) {
        if (view) await page.waitForFunction((name) => name in (globalThis as unknown as Global).results, name);
      }
    },

    /** Waits until the latest render is like this, and returns it. */
    async until(what: string, isSo: (view: View) => unknown, name = "chat") {
      let latest: View | undefined;
      const look = async () => {
        latest = await read(name);
        return isSo(latest) && latest;
      };
      return eventually(what, look, { seconds: 20, every: 30 }).catch(async (cause) => {
        const renders = (await this.commits(name)).slice(-5);
        const told = JSON.stringify({ latest, heard: await this.heard(), renders }, null, 1);
        throw new Error(`${what}: ${told}`, { cause });
      });
    },

    /** Waits until the text of the last message is this one. */
    shows(text: string, name = "chat") {
      return this.until(`it shows "${text}"`, ({ texts }) => texts.at(-1) === text, name);
    },

    /** Waits until nothing is under way. */
    ready(name = "chat") {
      return this.until("it is ready", ({ status, loadStatus }) => status === "ready" && loadStatus === "loaded", name);
    },

    /** Calls a function of the hook, and waits for it. */
    call<
      Name extends
        | "sendMessage"
        | "regenerate"
        | "stop"
        | "reload"
        | "loadOlder"
        | "loadMore"
        | "refetch"
        | "update"
        | "remove"
        | "addToolOutput"
        | "addToolApprovalResponse"
        | "setMessages",
    >(method: Name, parameters: unknown[] = [], name = "chat"): Promise<unknown> {
      return page.evaluate(
        ([method, parameters, name]) => {
          const result = (globalThis as unknown as Global).results[name as string] as never;
          const call = result[method as never] as (...parameters: unknown[]) => Promise<unknown>;
          return call(...(parameters as unknown[]));
        },
        [method, parameters, name],
      );
    },

    /** Begins to ask. The answer is still to come. */
    ask(text: string, name = "chat") {
      return page.evaluate(
        ([text = "", name = ""]) => {
          void (globalThis as unknown as Global).results[name]?.sendMessage({ text });
        },
        [text, name],
      );
    },

    /** The page is visible again. */
    comeBack: () => page.evaluate("document.dispatchEvent(new Event('visibilitychange'))"),

    /** The browser says that it is online again. */
    comeOnline: () => page.evaluate("dispatchEvent(new Event('online'))"),

    heard: () => page.evaluate(() => (globalThis as unknown as Global).heard),
    commits: (name = "chat") =>
      page.evaluate((name) => (globalThis as unknown as Global).commits.filter((commit) => commit.name === name), name),

    /** No render has ever shown a message twice, or messages of another chat. */
    async expectNothingWrong() {
      if (page.isClosed()) return;
      const commits = await page.evaluate(() => (globalThis as unknown as Global).commits);
      for (const { ids, id, resultId, chatId } of commits) {
        expect(new Set(ids).size, `doubles in ${ids}`).toBe(ids.length);
        expect(resultId).toBe(id);
        if (chatId) expect(chatId).toBe(id);
      }
    },
  };
}

export { say, textOf };

const html = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Chat</title><link rel="icon" href="data:,">
<div id="app"></div><script type="module" src="/page.js"></script></html>`;

const launchChromium = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
    timeout: 60_000,
  });

const loaded = new Map<string, ReturnType<typeof loadWith>>();
const scripts = new Map<string, Promise<string>>();

/** The result of `make` for a key, which is made once. */
function cached<Result>(results: Map<string, Promise<Result>>, key: string, make: () => Promise<Result>) {
  const result = results.get(key) ?? make();
  results.set(key, result);
  return result;
}

const packagesOf = {
  5: { "@ai-sdk/react": "ai-sdk-react-2", ai: join(root, "node_modules/ai-sdk-react-2/node_modules/ai") },
  6: { "@ai-sdk/react": "ai-sdk-react-3", ai: join(root, "node_modules/ai-sdk-react-3/node_modules/ai") },
  7: {},
};

/** The page's script, with the hooks from `src` and one copy of each of these packages. */
function scriptOf({ react, ai }: Versions): Promise<string> {
  return cached(scripts, `${react} ${ai}`, async () => {
    const { outputFiles } = await build({
      entryPoints: [join(root, "test/support/react-page/main.jsx")],
      bundle: true,
      write: false,
      format: "esm",
      target: "es2022",
      platform: "browser",
      jsx: "automatic",
      logLevel: "warning",
      define: { "process.env.NODE_ENV": '"development"' },
      alias: { ...packagesOf[ai], ...(react === 18 && { react: "react-18", "react-dom": "react-dom-18" }) },
    });
    return outputFiles[0]?.text ?? "";
  });
}

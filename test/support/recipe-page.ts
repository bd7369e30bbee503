import { randomUUID } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { streamText, type UIMessage } from "ai";
import { type BuildOptions, build } from "esbuild";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { type ChatHandlerOptions, createChatHandler } from "../../src/handler.ts";
import { type Chat, type ChatStore, createChatStore } from "../../src/index.ts";
import { nextChatId } from "./chat-ids.ts";
import { serve } from "./chat-server.ts";
import { launchChromium } from "./chromium.ts";
import { nodePostgres, openWith, type TestDatabase } from "./databases.ts";
import { eventually } from "./eventually.ts";
import { temporaryFolder } from "./folder.ts";
import { speaker } from "./scripted-model.ts";

/** The modules of a page. They import this package by its name, as it is built, and the packages of this checkout. */
export interface PageSource {
  /** The text of each module, by its path. */
  files: Record<string, string>;
  /** The path of the module that renders into `<div id="app">`. */
  entry: string;
  /** For esbuild: plugins of a compiler, or an alias for another version of a package. */
  build?: Pick<BuildOptions, "plugins" | "alias" | "conditions" | "define">;
}

export interface RecipeUser {
  userId: string;
  /** The browser of this user. Its cookie is the login. */
  context: BrowserContext;
  /** Opens a tab. Every path that is not the handler's has the page. */
  open(path?: string): Promise<Page>;
  /** Stores a chat, with a question and an answer by default. */
  addChat(chat: { chatId?: string; title: string; messages?: UIMessage[] }): Promise<Chat>;
  stored(chatId: string): Promise<UIMessage[]>;
  /** No turn of this user is running. */
  idle(): Promise<unknown>;
  /** The model, once this user has asked it so many times. The test says its words. */
  voice(count?: number): Promise<Voice>;
}

/** `aborted` resolves when the application stops the model. */
type Voice = ReturnType<typeof speaker> & { aborted: Promise<unknown> };

/**
 * A page that esbuild has bundled, and the handler at `/api/chat` on the same origin, for the tests of a file: with one
 * Chromium, one server and one database. A test fails if the browser's console has an error or a warning which it does not
 * allow.
 */
export function recipePage(source: PageSource, options: Partial<ChatHandlerOptions<UIMessage, unknown, unknown>> = {}) {
  const folder = temporaryFolder("recipe");
  const voices = new Map<string, Voice[]>();
  const voicesOf = (userId: string) => voices.get(userId) ?? voices.set(userId, []).get(userId) ?? [];
  const complaints: string[] = [];
  const allowed: string[] = [];
  let browser: Browser;
  let database: TestDatabase;
  let store: ChatStore;
  let server: Awaited<ReturnType<typeof serve>>;

  beforeAll(async () => {
    [database, browser] = await Promise.all([openWith(nodePostgres), launchChromium()]);
    store = createChatStore(database.db);
    const script = await bundle(folder, source);
    const chat = createChatHandler<UIMessage, unknown, unknown>({
      store,
      userId: userIdOf,
      answer: ({ modelMessages, abortSignal, userId }) => {
        const voice = speaker();
        const aborted = new Promise((resolve) => abortSignal.addEventListener("abort", resolve));
        voicesOf(userId).push({ ...voice, aborted });
        return streamText({
          model: voice.model,
          messages: modelMessages,
          abortSignal,
          maxRetries: 0,
          onError: () => {},
        });
      },
      ...options,
    });
    server = await serve(async (request) => {
      const { pathname } = new URL(request.url);
      if (pathname.startsWith("/api/chat")) return chat(request);
      if (pathname === "/page.js") return new Response(script, { headers: { "content-type": "text/javascript" } });
      return new Response(html, { headers: { "content-type": "text/html" } });
    });
  });
  afterEach(async () => {
    await Promise.all(browser.contexts().map((context) => context.close()));
    const unexpected = complaints.splice(0).filter((text) => !allowed.some((part) => text.includes(part)));
    allowed.length = 0;
    expect(unexpected, "errors and warnings in the browser's console").toEqual([]);
  });
  afterAll(async () => {
    await browser.close();
    await server.close();
    await server.idle();
    await database.close();
  });

  return {
    get url() {
      return server.url;
    },
    get store() {
      return store;
    },
    /** Cuts all connections, as a broken network does. */
    disconnect: () => server.disconnect(),
    /** The browser may complain of this in this test. */
    allowComplaint: (part: string) => void allowed.push(part),

    async newUser(): Promise<RecipeUser> {
      const userId = randomUUID();
      const context = await browser.newContext();
      context.setDefaultTimeout(60_000);
      await context.addCookies([{ name: "user", value: userId, url: server.url }]);
      context.on("console", (message) => {
        if (["error", "warning"].includes(message.type())) complaints.push(message.text());
      });
      context.on("weberror", (error) => complaints.push(String(error.error())));
      return {
        userId,
        context,
        async open(path = "/") {
          const page = await context.newPage();
          await page.goto(new URL(path, server.url).href);
          return page;
        },
        addChat: ({ chatId = nextChatId(), title, messages = question(title) }) =>
          store.upsertChat({ userId, chatId, title, messages }),
        stored: async (chatId) => (await store.getChat({ userId, chatId }))?.messages ?? [],
        idle: () =>
          eventually("no turn is running", async () => {
            const running =
              "select from chat_store.turns join chat_store.chats on chats.id = chat_id where user_id = $1 and ended_at is null and not superseded";
            return (await database.query(running, [userId])).length === 0;
          }),
        voice: (count = 1) => eventually(`the model is asked ${count} times`, () => voicesOf(userId)[count - 1]),
      };
    },
  };
}

const html = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Chat</title><link rel="icon" href="data:,">
<div id="app"></div><script type="module" src="/page.js"></script></html>`;

const userIdOf = (request: Request) => /\buser=([\w-]+)/.exec(request.headers.get("cookie") ?? "")?.[1];

/** What a chat with a title begins with, if a test does not care. */
function question(title: string): UIMessage[] {
  return [
    { id: randomUUID(), role: "user", parts: [{ type: "text", text: `${title}?` }] },
    { id: randomUUID(), role: "assistant", parts: [{ type: "text", text: `${title}.` }] },
  ];
}

/** What a browser runs of these modules. */
async function bundle(folder: string, { files, entry, build: settings = {} }: PageSource): Promise<string> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  const { outputFiles } = await build({
    entryPoints: [join(folder, entry)],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2022",
    platform: "browser",
    jsx: "automatic",
    logLevel: "warning",
    ...settings,
    define: { "process.env.NODE_ENV": '"development"', ...settings.define },
  });
  return outputFiles[0]?.text ?? "";
}

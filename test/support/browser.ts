import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { test as anyTest, expect } from "vitest";
import { nextChatId } from "./chat-ids.ts";
import { answered, desktop, messages, send, showsFirstWords } from "./chat-page.ts";
import { launchChromium } from "./chromium.ts";
import { eventually } from "./eventually.ts";
import { type HeldAnswer, type ModelServer, startModelServer } from "./model-server.ts";
import { type NextApp, startNextApp } from "./next-app.ts";
import { chatsOfManyDays, daysAgo, longChat } from "./seeded-chats.ts";
import { everyPart, onlyACall } from "./seeded-parts.ts";

export * from "./chat-page.ts";

// What the tests of the Next example share. All files of a worker use one browser and one server of the example.

export const screenshots = join(import.meta.dirname, "../../.data/screenshots");

let browser: Browser;
/** The built example. */
export let server: NextApp;
/** The model that it asks. */
export let model: ModelServer;
/** A browser with cookies of its own is a user. Each test has a new one, unless it becomes another. */
export let user: BrowserContext;

/** The browser's console may have these in this test. */
let allowed: string[] = [];
const complaints: string[] = [];

/** How many messages the long chats have. */
export const sizesOfLongChats = [5_000, 200] as const;

type StorageState = Awaited<ReturnType<BrowserContext["storageState"]>>;

export interface LongChats {
  /** The cookies of the user whose chats they are: each test has another browser context. */
  storageState: StorageState;
  /** The paths of the chat of 5,000 messages and of the one of 200. */
  longest: string;
  long: string;
}

/** Chats of many days: see `chatsOfManyDays`. */
export interface ManyChats {
  storageState: StorageState;
  /** The paths of the chats of today: one with a part of every kind, one with nothing but a tool call. */
  parts: string;
  call: string;
}

interface Seeded {
  longChats: LongChats;
  manyChats: ManyChats;
}

/**
 * A test of the built example in the browser. Extend it nowhere else: Vitest starts all that belongs to a worker once for each
 * extension.
 */
export const test = anyTest
  // biome-ignore lint/correctness/noEmptyPattern: Vitest reads from it which fixtures this one needs.
  .extend("chromium", { scope: "worker", auto: true }, async ({}, { onCleanup }) => {
    mkdirSync(screenshots, { recursive: true });
    const started = await launchChromium();
    onCleanup(() => started.close());
    browser = started;
    return started;
  })
  // biome-ignore lint/correctness/noEmptyPattern: Vitest reads from it which fixtures this one needs.
  .extend("model", { scope: "worker", auto: true }, async ({}, { onCleanup }) => {
    const started = await startModelServer();
    onCleanup(() => started.stop());
    model = started;
    return started;
  })
  .extend("app", { scope: "worker", auto: true }, async ({ model: { settings } }, { onCleanup }) => {
    const started = await startNextApp(settings);
    onCleanup(() => started.stop());
    server = started;
    return started;
  })
  // All files of a worker use the same ones: what a test changes is a copy.
  .extend("seeded", { scope: "worker" }, async ({ chromium: _, app }): Promise<Seeded> => {
    const [patient, busy] = [await newOwner(), await newOwner()];
    const kinds = { userId: busy.userId, updatedAt: daysAgo(0) };
    const [longest = "", long = "", parts = "", call = ""] = await app.seed([
      ...sizesOfLongChats.map((size) => longChat(patient.userId, size)),
      { ...kinds, title: "Every part", messages: everyPart },
      { ...kinds, title: "Only a call", messages: onlyACall },
      ...chatsOfManyDays(busy.userId),
    ]);
    return {
      longChats: { storageState: patient.storageState, longest, long },
      manyChats: { storageState: busy.storageState, parts, call },
    };
  })
  .extend("longChats", { scope: "worker" }, ({ seeded }) => seeded.longChats)
  .extend("manyChats", { scope: "worker" }, ({ seeded }) => seeded.manyChats)
  .extend("user", { auto: true }, async ({ chromium: _, app: __ }, { onCleanup }) => {
    allowed = [];
    complaints.length = 0;
    await becomeUser();
    onCleanup(async () => {
      for (const context of browser.contexts()) await context.close();
      const left = await leftHeld();
      const unexpected = complaints.filter((text) => !allowed.some((part) => text.includes(part)));
      expect(left, "answers that are left held").toBe(0);
      expect(unexpected, "errors and warnings in the browser's console").toEqual([]);
    });
    return user;
  });

/** How many answers are still held, now that the pages are closed. It takes a moment until all connections are. */
async function leftHeld() {
  const left = () => model.held();
  await eventually("no answer is held", () => left() === 0, { seconds: 5 }).catch(() => {});
  const count = left();
  model.release();
  return count;
}

/** A user for `seed`, without a browser. */
async function newOwner() {
  const context = await newUser();
  const userId = await userIdOf(context);
  const storageState = await context.storageState();
  await context.close();
  return { userId, storageState };
}

type UserOptions = Parameters<Browser["newContext"]>[0];

export async function newUser(options: UserOptions = {}) {
  const context = await browser.newContext({ viewport: desktop, colorScheme: "light", ...options });
  context.setDefaultTimeout(60_000);
  context.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`${message.text()} ${message.location().url}`);
  });
  context.on("weberror", (error) => complaints.push(String(error.error())));
  return context;
}

/** Makes a new user the one whose browser `open` uses. */
export async function becomeUser(options: UserOptions = {}) {
  user = await newUser(options);
  return user;
}

/** The browser may complain of this in this test. */
export const allowComplaint = (part: string) => void allowed.push(part);

/** The browser has complained of these, in this order, and of nothing else. */
export async function expectComplaints(parts: string[]) {
  await expect.poll(() => complaints).toEqual(parts.map((part) => expect.stringContaining(part)));
  complaints.length = 0;
}

export async function open(path = "/", context = user) {
  const page = await context.newPage();
  await page.goto(new URL(path, server.url).href);
  return page;
}

/** Sends a question whose answer the model holds after its first words, and waits until the page shows these. */
export async function askAndHold(page: Page, question: string): Promise<HeldAnswer> {
  const held = model.hold(question);
  await send(page, question);
  await held.begun;
  await showsFirstWords(page);
  return held;
}

/**
 * Asks a question, and resolves to all texts when the answer is there. The page shows the first words before the rest comes, as
 * it would with any model that takes a while.
 */
export async function ask(page: Page, question: string) {
  const before = await messages(page).count();
  const held = await askAndHold(page, question);
  held.finish();
  return answered(page, before + 2);
}

/** Asks for the last answer again, holds it after its first words, and waits until the page shows these. */
export async function regenerateAndHold(page: Page, question: string): Promise<HeldAnswer> {
  const held = model.hold(question);
  await page.getByRole("button", { name: "Regenerate" }).click();
  await held.begun;
  await showsFirstWords(page);
  return held;
}

/** As a request of its own, past the page. */
export const request = (
  context: BrowserContext,
  method: string,
  path: string,
  { id, data }: { id: string | null; data?: unknown },
) => context.request.fetch(`${server.url}/api/chat/${id}${path}`, { method, ...(data === undefined ? {} : { data }) });

/** Asks a question past the page. Resolves when the whole answer is there. */
async function post(context: BrowserContext, chatId: string, question: string, url = server.url) {
  const message = { id: crypto.randomUUID(), role: "user", parts: [{ type: "text", text: question }] };
  const response = await context.request.post(`${url}/api/chat`, { data: { id: chatId, message } });
  expect(response.status()).toBe(200);
}

/** Makes a chat with the answers to these questions past the page. Resolves to its path. */
export async function chatOf(context: BrowserContext, questions: string[], url = server.url) {
  const chatId = nextChatId();
  await becomeKnown(context, url);
  for (const question of questions) await post(context, chatId, question, url);
  return `/?chatId=${chatId}`;
}

/** The first page makes a browser a user. Of several at once, each would make it another one. */
export async function becomeKnown(context: BrowserContext, url = server.url) {
  await context.request.get(url);
}

/** The id that the example has given to this user. */
export async function userIdOf(context: BrowserContext) {
  await becomeKnown(context);
  const [cookie] = await context.cookies();
  if (!cookie) expect.fail("There is no cookie.");
  // As lib/user.ts makes it.
  return createHash("sha256").update(cookie.value).digest("base64url");
}

/** Makes several chats at once. Resolves to their paths. */
export async function chatsOf(context: BrowserContext, chats: string[][]) {
  await becomeKnown(context);
  return Promise.all(chats.map((questions) => chatOf(context, questions)));
}

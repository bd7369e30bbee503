import { mkdirSync } from "node:fs";
import { join } from "node:path";
import axe, { type AxeResults } from "axe-core";
import { type Browser, type BrowserContext, chromium, type Page, type Request } from "playwright-core";
import { test as anyTest, expect } from "vitest";
import { eventually } from "./eventually.ts";
import { firstWordsOf, type HeldAnswer, type ModelServer, startModelServer } from "./model-server.ts";
import { type NextApp, startNextApp } from "./next-app.ts";

// What the tests of the Next example share. All files of a worker use one browser and one server of the example.

export const desktop = { width: 1280, height: 800 };
export const phone = { width: 390, height: 844 };
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

export interface LongChats {
  /** The cookies of the user whose chats they are: each test has another browser context. */
  storageState: Awaited<ReturnType<BrowserContext["storageState"]>>;
  /** The paths of the chat of 5,000 messages and of the one of 200. */
  longest: string;
  long: string;
}

/**
 * A test of the built example in the browser. Extend it nowhere else: Vitest starts all that belongs to a worker once for each
 * extension.
 */
export const test = anyTest
  // biome-ignore lint/correctness/noEmptyPattern: Vitest reads from it which fixtures this one needs.
  .extend("chromium", { scope: "worker", auto: true }, async ({}, { onCleanup }) => {
    mkdirSync(screenshots, { recursive: true });
    const started = await chromium.launch({
      executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
      timeout: 60_000,
    });
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
  // All files of a worker use the same two: what a test changes is a copy.
  .extend("longChats", { scope: "worker" }, async ({ chromium: _, app }): Promise<LongChats> => {
    const owner = await newUser();
    await becomeKnown(owner);
    const [cookie] = await owner.cookies();
    const userId = cookie?.value.split(".")[0] ?? expect.fail("There is no cookie.");
    const storageState = await owner.storageState();
    await owner.close();
    const [longest = "", long = ""] = await app.makeLongChats(userId, [...sizesOfLongChats]);
    return { storageState, longest, long };
  })
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

type UserOptions = Parameters<Browser["newContext"]>[0];

export async function newUser(options: UserOptions = {}) {
  const context = await browser.newContext({ viewport: desktop, colorScheme: "light", ...options });
  context.setDefaultTimeout(60_000);
  context.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`${message.text()} ${message.location().url}`);
  });
  context.on("request", (request) => countRefresh(request, "begun"));
  for (const end of ["requestfinished", "requestfailed"] as const) {
    context.on(end as "requestfinished", (request) => countRefresh(request, "ended"));
  }
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

/** Forgets of what the browser has complained so far. */
export const forgetComplaints = () => {
  complaints.length = 0;
};

export async function open(path = "/", context = user) {
  const page = await context.newPage();
  await page.goto(new URL(path, server.url).href);
  return page;
}

export const messageBox = (page: Page) => page.getByRole("textbox", { name: "Message", exact: true });
export const log = (page: Page) => page.getByRole("log");
export const messages = (page: Page, role?: "user" | "assistant") =>
  log(page).getByRole("article", role && { name: role, exact: true });
export const chatLinks = (page: Page) => page.getByRole("navigation", { name: "Chats" }).locator("> ul a");
export const archivedLinks = (page: Page) => page.getByRole("navigation", { name: "Chats" }).locator("details a");
export const archive = (page: Page) => page.locator("summary");
export const more = (page: Page, title: string) => page.getByRole("button", { name: `More: ${title}`, exact: true });
export const menu = (page: Page) => page.locator(".menu:popover-open");
export const editor = (page: Page) => page.getByRole("textbox", { name: "Edit message" });
export const alertInMain = (page: Page) => page.getByRole("main").getByRole("alert");

export const pathOf = (page: Page) => {
  const { pathname, search } = new URL(page.url());
  return pathname + search;
};
export const chatIdOf = (page: Page) => new URL(page.url()).searchParams.get("chatId");

export const textsOf = async (page: Page) => (await messages(page).allInnerTexts()).map((text) => text.trim());
export const isBusy = async (page: Page) => (await log(page).getAttribute("aria-busy")) === "true";
export const articleIds = (page: Page) =>
  page.evaluate<string[]>(`[...document.querySelectorAll("[role=log] article")].map(({ id }) => id)`);

/** The label of what has the focus, or its text. */
export const focused = (page: Page) =>
  page.evaluate<string | undefined>(
    `document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.innerText`,
  );
export const focusedId = (page: Page) => page.evaluate<string | undefined>("document.activeElement?.id");
/** The text of what has the focus, whatever its label. */
export const focusedText = (page: Page) => page.evaluate<string | undefined>("document.activeElement?.innerText");

/** Waits until React listens: keys that are pressed before would be lost. */
export const interactive = (page: Page) => expect.poll(() => messageBox(page).isEditable()).toBe(true);

const onOneLine = (text: string | undefined) => text?.replace(/\s+/g, " ").trim();

/** Sends a question, and waits until the page shows it. Its answer may be there by then. */
export async function send(page: Page, question: string) {
  const before = await messages(page, "user").count();
  await messageBox(page).fill(question);
  await messageBox(page).press("Enter");
  await expect
    .poll(async () => {
      const questions = await messages(page, "user").allInnerTexts();
      return { isMore: questions.length > before, last: onOneLine(questions.at(-1)) };
    })
    .toEqual({ isMore: true, last: onOneLine(question) });
}

/** What the page shows of a conversation, in one look, which no other chat can come between. */
const look = (page: Page) =>
  page.evaluate<{ isBusy: boolean; roles: string[]; texts: string[] }>(`{
    const articles = [...document.querySelectorAll("[role=log] article")];
    ({
      isBusy: document.querySelector("[role=log]")?.ariaBusy === "true",
      roles: articles.map(({ ariaLabel }) => ariaLabel),
      texts: articles.map(({ innerText }) => innerText.trim()),
    })
  }`);

/** The page shows so many messages and no answer under way. Resolves to their texts. */
export async function answered(page: Page, count: number) {
  const roles = Array.from({ length: count }, (_, index) => (index % 2 === 0 ? "user" : "assistant"));
  let texts: string[] = [];
  await expect
    .poll(async () => {
      const seen = await look(page);
      texts = seen.texts;
      return { isBusy: seen.isBusy, roles: seen.roles };
    })
    .toEqual({ isBusy: false, roles });
  return texts;
}

export const idle = (page: Page) => expect.poll(() => isBusy(page)).toBe(false);

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

const firstWords = /^This is answer \d+ of our$/;
if (!firstWords.test(firstWordsOf("This is answer 1 of our chat. ").trim())) throw new Error("These are other words.");

/** The page shows an answer under way, which the model holds after its first words. Resolves to these. */
export async function showsFirstWords(page: Page) {
  let last = "";
  await expect
    .poll(async () => {
      const seen = await look(page);
      last = seen.texts.at(-1) ?? "";
      return { isBusy: seen.isBusy, last };
    })
    .toEqual({ isBusy: true, last: expect.stringMatching(firstWords) });
  return last;
}

/** How often a page has read its list and its chat again. */
const refreshes = new WeakMap<Page, { begun: number; ended: number }>();

function countRefresh(request: Request, what: "begun" | "ended") {
  if (!request.url().includes("_rsc=")) return;
  const page = request.frame().page();
  const { begun, ended } = refreshes.get(page) ?? { begun: 0, ended: 0 };
  refreshes.set(page, { begun, ended, [what]: (what === "begun" ? begun : ended) + 1 });
}

/** Waits until the page does not read its list and its chat again any more, as it does when an answer begins and when it ends. */
async function settled(page: Page) {
  let last = -1;
  const look = () => {
    const { begun, ended } = refreshes.get(page) ?? { begun: 0, ended: 0 };
    const isSettled = begun === ended && begun === last;
    last = begun;
    return isSettled;
  };
  await expect.poll(look, { interval: 200 }).toBe(true);
}

export async function newChat(page: Page) {
  await interactive(page);
  // A refresh under way can lead a page back that has just left its chat.
  await settled(page);
  const before = page.url();
  await page.getByRole("button", { name: "New chat", exact: true }).click();
  await expect.poll(() => page.url()).not.toBe(before);
  // The address changes first. The box of the new chat takes the focus from the button when it is there.
  await expect.poll(() => focused(page)).toBe("Message");
  expect(await messages(page).count()).toBe(0);
}

/** On a phone they are behind a button. */
export async function showChats(page: Page) {
  const button = page.getByRole("button", { name: "Chats", exact: true });
  const list = page.getByRole("navigation", { name: "Chats" });
  if ((await button.isVisible()) && !(await list.isVisible())) await button.click();
  await list.waitFor();
}

/** From the menu of a chat in the list. */
export async function choose(page: Page, title: string, action: "Rename" | "Archive" | "Unarchive" | "Delete") {
  await more(page, title).click();
  await page.getByRole("button", { name: action, exact: true }).click();
}

/** Answers the dialog that asks before something is deleted. */
export const confirmDelete = (page: Page) => page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();

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
  const chatId = crypto.randomUUID();
  await becomeKnown(context, url);
  for (const question of questions) await post(context, chatId, question, url);
  return `/?chatId=${chatId}`;
}

/** The first page makes a browser a user. Of several at once, each would make it another one. */
export async function becomeKnown(context: BrowserContext, url = server.url) {
  await context.request.get(url);
}

/** Makes several chats at once. Resolves to their paths. */
export async function chatsOf(context: BrowserContext, chats: string[][]) {
  await becomeKnown(context);
  return Promise.all(chats.map((questions) => chatOf(context, questions)));
}

export async function expectAccessible(page: Page) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate<AxeResults>("axe.run(document)");
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(", ")}`)).toEqual([]);
}

export async function expectFits(page: Page, { width, height }: { width: number; height: number }) {
  expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(width);
  const box = await messageBox(page).boundingBox();
  if (!box) expect.fail("The message box is not shown.");
  expect(box.x).toBeGreaterThanOrEqual(0);
  expect(box.x + box.width).toBeLessThanOrEqual(width);
  expect(box.y + box.height).toBeLessThanOrEqual(height);
}

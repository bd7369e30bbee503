import type { BrowserContext, Page } from "playwright-core";
import { expect } from "vitest";
import { request, server, sizesOfLongChats, user } from "./browser.ts";

export const [all, some] = sizesOfLongChats;

/** Open, and answering to keys and clicks: it asks for an answer that is still on its way when it does. */
export async function openLive(path: string) {
  const page = await user.newPage();
  const resumed = page.waitForResponse("**/stream?*");
  await page.goto(`${server.url}${path}`);
  await resumed;
  return page;
}

/** The ids of the messages of a long chat, in order. */
export const idsOfLongChat = (count: number) =>
  Array.from({ length: count }, (_, index) => `${index % 2 ? "answer" : "question"}-${Math.floor(index / 2) + 1}`);

/** The last of its articles on the page. */
export const lastArticles = (count: number, shown: number) =>
  idsOfLongChat(count)
    .slice(-shown)
    .map((id) => `message-${id}`);

/** What the server has, page by page from the end. */
export async function storedIds(context: BrowserContext, id: string | null) {
  const ids: string[] = [];
  for (let hasMore = true; hasMore; ) {
    const before = ids[0] === undefined ? "" : `&before=${ids[0]}`;
    const page = await (await request(context, "GET", `?limit=200${before}`, { id })).json();
    ids.unshift(...page.messages.map((message: { id: string }) => message.id));
    hasMore = page.hasMore;
  }
  return ids;
}

/** Makes another copy of a chat, which may be changed. */
export async function copyOf(context: BrowserContext, path: string, throughMessageId: string) {
  const newId = `copy-${crypto.randomUUID()}`;
  const id = new URLSearchParams(path.slice(1)).get("chatId");
  const response = await request(context, "POST", "/fork", { id, data: { id: newId, throughMessageId } });
  expect(response.status()).toBe(201);
  return `/?chatId=${newId}`;
}

/** The URLs of requests for older messages. */
export const olderMessages = /\/api\/chat\/[^/?]+\?(.*&)?before=/;

/** Requests for older messages wait until they are released. */
export async function holdOlder(page: Page) {
  let release = () => {};
  let held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let asked = 0;
  await page.route(olderMessages, async (route) => {
    asked++;
    await held;
    await route.continue();
  });
  return {
    asked: () => asked,
    release() {
      release();
      held = new Promise((resolve) => {
        release = resolve;
      });
    },
  };
}

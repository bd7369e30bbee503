import axe, { type AxeResults } from "axe-core";
import type { Page } from "playwright-core";
import { expect } from "vitest";
import { firstWordsOf } from "./model-server.ts";

// What a page of the Next example has, and what a user does there.

export const desktop = { width: 1280, height: 800 };
export const phone = { width: 390, height: 844 };

export const messageBox = (page: Page) => page.getByRole("textbox", { name: "Message", exact: true });
export const log = (page: Page) => page.getByRole("log");
const nameOf = { user: "You said", assistant: "Assistant" };
export const messages = (page: Page, role?: "user" | "assistant") =>
  log(page).getByRole("article", role && { name: nameOf[role], exact: true });
export const sidebar = (page: Page) => page.getByRole("navigation", { name: "Chats" });
export const chatLinks = (page: Page) => sidebar(page).locator("section li a");
export const archivedLinks = (page: Page) => sidebar(page).locator("details a");
export const archive = (page: Page) => sidebar(page).locator("summary");
/** What the page says of what the user has done, for a while. */
export const toast = (page: Page, text: string) => page.getByRole("listitem").filter({ hasText: text });
/** The result tells what the page has said so since. Each toast goes after four seconds, which a slow test may miss. */
export async function watchToasts(page: Page) {
  await page.evaluate(`{
    window.toasts = [];
    new MutationObserver((changes) => {
      const added = changes.flatMap(({ addedNodes }) => [...addedNodes]).filter((node) => node instanceof Element);
      const found = added.flatMap((node) => [node, ...node.querySelectorAll("*")]);
      window.toasts.push(...found.filter((node) => node.matches("[data-sonner-toast]")).map((node) => node.innerText.trim()));
    }).observe(document.getElementById("toasts"), { childList: true, subtree: true });
  }`);
  return () => page.evaluate<string[]>("window.toasts");
}
export const more = (page: Page, title: string) => page.getByRole("button", { name: `More: ${title}`, exact: true });
export const menu = (page: Page) => page.locator(".menu:popover-open");
export const editor = (page: Page) => page.getByRole("textbox", { name: "Edit message" });
export const alertInMain = (page: Page) => page.getByRole("main").getByRole("alert");

export const pathOf = (page: Page) => {
  const { pathname, search } = new URL(page.url());
  return pathname + search;
};
export const chatIdOf = (page: Page) => new URL(page.url()).searchParams.get("chatId");

/** The messages without what stands below them, such as their buttons. */
export const textsOf = async (page: Page) => (await look(page)).texts;
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

/** The user comes back to the tab. */
export const comeBack = (page: Page) =>
  page.evaluate("document.dispatchEvent(new Event('visibilitychange')); window.dispatchEvent(new Event('focus'))");

/** The result tells whether the tab still has the document that it has now: no navigation has replaced it. */
export async function keepsDocument(page: Page) {
  await page.evaluate("window.isTheSame = true");
  return () => page.evaluate<boolean>("window.isTheSame === true");
}

/** Waits until React listens: keys that are pressed before would be lost. */
export const interactive = (page: Page) => expect.poll(() => messageBox(page).isEditable()).toBe(true);

const isTouched = (page: Page) => page.evaluate<boolean>("matchMedia('(pointer: coarse)').matches");

const onOneLine = (text: string | undefined) => text?.replace(/\s+/g, " ").trim();

/** Sends a question, and waits until the page shows it. Its answer may be there by then. */
export async function send(page: Page, question: string) {
  const before = await messages(page, "user").count();
  await messageBox(page).fill(question);
  // On a phone, Enter makes a line.
  if (await isTouched(page)) await page.getByRole("button", { name: "Send" }).click();
  else await messageBox(page).press("Enter");
  await expect
    .poll(async () => {
      const { roles, texts } = await look(page);
      const questions = texts.filter((_, index) => roles[index] === nameOf.user);
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
      texts: articles.map((article) => (article.querySelector(".parts") ?? article).innerText.trim()),
    })
  }`);

/** The page shows so many messages and no answer under way. Resolves to their texts. */
export async function answered(page: Page, count: number) {
  const roles = Array.from({ length: count }, (_, index) => nameOf[index % 2 === 0 ? "user" : "assistant"]);
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

/** Asks a question, and resolves to all texts when its answer is there, which comes by itself. */
export async function askAndWait(page: Page, question: string) {
  const before = await messages(page).count();
  await send(page, question);
  return answered(page, before + 2);
}

export const idle = (page: Page) => expect.poll(() => isBusy(page)).toBe(false);

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

export async function newChat(page: Page) {
  await interactive(page);
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
  const list = sidebar(page);
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

/** All but those that never end. */
export const animationsHaveEnded = (page: Page) =>
  page.evaluate(`Promise.allSettled(
    document.getAnimations().filter(({ effect }) => Number.isFinite(effect.getComputedTiming().endTime)).map(({ finished }) => finished),
  )`);

export async function expectAccessible(page: Page) {
  // What fades in has less contrast for a moment.
  await animationsHaveEnded(page);
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

import type { Page, Request } from "playwright-core";
import { expect } from "vitest";
import { textOf } from "./conversations.ts";
import { eventually } from "./eventually.ts";
import type { RecipeUser } from "./recipe-page.ts";

// What a user does and sees in the pages that the recipes print.

/** The first element of an item of the list opens the chat. */
export const itemsIn = (page: Page) => page.getByRole("navigation").getByRole("listitem").locator("> :first-child");

export const titlesIn = (page: Page) => itemsIn(page).allInnerTexts();

const textsIn = async (page: Page) =>
  (await page.getByRole("article").allInnerTexts()).map((text) => text.trim()).filter(Boolean);

export const shows = (page: Page, texts: string[]) => expect.poll(() => textsIn(page)).toEqual(texts);

/** The answer has ended, for this page and in the store, and both have these texts. */
export async function showsWhatIsStored(
  user: RecipeUser,
  page: Page,
  id: string,
  texts: string[],
  /** The user has cut messages off. */
  { cut = false } = {},
) {
  await user.idle();
  expect((await user.stored(id)).map((message) => textOf(message)?.trim())).toEqual(texts);
  await shows(page, texts);
  await expect.poll(() => page.getByRole("button", { name: "Stop" }).count()).toBe(0);
  await shows(page, texts);
  if (!cut) expect(await page.evaluate("losses.map((loss) => JSON.stringify(loss))")).toEqual([]);
}

export async function ask(page: Page, text: string) {
  await page.getByRole("textbox", { name: "Message" }).fill(text);
  await page.getByRole("textbox", { name: "Message" }).press("Enter");
}

export const press = (page: Page, title: string, name: string) =>
  page
    .getByRole("listitem")
    .filter({ has: page.locator("> :first-child").getByText(title, { exact: true }) })
    .getByRole("button", { name, exact: true })
    .click();

export async function rename(page: Page, title: string, newTitle: string) {
  page.once("dialog", (dialog) => dialog.accept(newTitle));
  await press(page, title, "Rename");
}

interface Hold {
  url?: RegExp;
  /** Whether the server gets the requests meanwhile. Default: it does, and the responses are held. */
  held?: "request" | "response";
}

/** Holds requests of this method until they are let go: that resolves when the page has the responses. */
export async function holdRequests(page: Page, method: string, { url = /\/api\/chat/, held = "response" }: Hold = {}) {
  const requests: Request[] = [];
  let free = () => {};
  let isFree = false;
  const freed = new Promise<void>((resolve) => {
    free = resolve;
  });
  await page.route(url, async (route) => {
    if (isFree || route.request().method() !== method) return route.fallback();
    // It fails if the test ends meanwhile.
    const response = held === "response" ? await route.fetch().catch(() => undefined) : undefined;
    requests.push(route.request());
    await freed;
    // The page may not want it any more.
    await (response ? route.fulfill({ response }) : route.continue()).catch(() => {});
  });
  return {
    begun: () => eventually(`a ${method} request is held`, () => requests.length > 0),
    async letGo() {
      isFree = true;
      free();
      await Promise.all(requests.map((request) => request.response()));
    },
  };
}

/** Notes in the page when a shown text is taken away, or is another one. */
export const watchTexts = `{
  let before = [];
  window.losses = [];
  new MutationObserver(() => {
    const texts = [...document.querySelectorAll("article")].map(({ textContent }) => textContent);
    if (before.some((text, index) => !texts[index]?.startsWith(text))) losses.push({ before, texts });
    before = texts;
  }).observe(document, { childList: true, subtree: true, characterData: true });
}`;

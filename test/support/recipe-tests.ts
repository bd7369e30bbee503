import { randomUUID } from "node:crypto";
import type { Page, Request } from "playwright-core";
import { beforeEach, describe, expect, test } from "vitest";
import { textOf } from "./conversations.ts";
import { eventually } from "./eventually.ts";
import { type PageSource, type RecipeUser, recipePage } from "./recipe-page.ts";

const question = "Why do tides turn?";

interface RecipeOptions {
  /** The list shows a new title before the server responds, and the old one again if it refuses. */
  isOptimistic?: boolean;
  /** How many chats the list asks for. By default it leaves that to the handler. */
  pageSize?: number;
  /** The path of a chat that does not exist yet. Its id is the page's own, unless it is in the path. */
  newChat?: () => string;
}

/** What every recipe of the docs has to do, with the list and the conversation as they print them. */
export function testRecipe(
  name: string,
  source: PageSource,
  { isOptimistic = false, pageSize = 4, newChat = () => `/?id=${randomUUID()}` }: RecipeOptions = {},
) {
  const recipe = recipePage(source, { pageSize: 4 });
  // A chat that does not exist yet.
  beforeEach(() => recipe.allowComplaint("404"));

  describe(`The recipe for ${name}`, () => {
    test("the list shows the stored chats, in pages", async () => {
      const user = await newUser();
      const titles = Array.from({ length: pageSize + 2 }, (_, index) => `Chat ${index}`);
      for (const title of titles.toReversed()) await user.addChat({ title });
      const page = await user.open();
      await expect.poll(() => titlesIn(page)).toEqual(titles.slice(0, pageSize));
      await page.getByRole("button", { name: "More chats" }).click();
      await expect.poll(() => titlesIn(page)).toEqual(titles);
      expect(await page.getByRole("button", { name: "More chats" }).count()).toBe(0);

      // The list is loaded again, and keeps its pages.
      await rename(page, titles.at(-1) ?? "", "Tides");
      await expect.poll(() => titlesIn(page)).toEqual([...titles.slice(0, -1), "Tides"]);
      const [first = ""] = titles;
      await itemsIn(page).first().click();
      await shows(page, [`${first}?`, `${first}.`]);
    });

    test("an answer streams, ends stored, and is there after a reload", async () => {
      const { user, page, id } = await openNewChat();
      await ask(page, question);
      const voice = await user.voice();
      voice.say("The moon ");
      await shows(page, [question, "The moon"]);
      await expect.poll(() => titlesIn(page)).toEqual([question]);
      voice.say("pulls.");
      await voice.finish();
      await showsWhatIsStored(user, page, await id(), [question, "The moon pulls."]);

      await ask(page, "And then?");
      (await user.voice(2)).say("They turn.");
      await (await user.voice(2)).finish();
      const all = [question, "The moon pulls.", "And then?", "They turn."];
      await showsWhatIsStored(user, page, await id(), all);
      const resumed = page.waitForResponse(/\/stream/);
      await page.reload();
      await shows(page, all);
      // The page names the version that it shows, so that the server does not send its last answer again.
      const { version } = (await recipe.store.getChat({ userId: user.userId, chatId: await id() })) ?? {};
      expect(new URL((await resumed).url()).searchParams.get("version")).toBe(String(version));
      expect((await resumed).status()).toBe(204);
    });

    test("a reload in the middle of an answer goes on to its end", async () => {
      const { user, page, id } = await openNewChat();
      await ask(page, question);
      const voice = await user.voice();
      voice.say("The moon ");
      await shows(page, [question, "The moon"]);
      await page.reload();
      await shows(page, [question, "The moon"]);
      await page.getByRole("button", { name: "Stop" }).waitFor();
      voice.say("pulls.");
      await shows(page, [question, "The moon pulls."]);
      await voice.finish();
      await showsWhatIsStored(user, page, await id(), [question, "The moon pulls."]);
    });

    test("stop stops the model, and the page shows just what is stored", async () => {
      const { user, page, id } = await openNewChat();
      await ask(page, question);
      const voice = await user.voice();
      voice.say("The moon ");
      await shows(page, [question, "The moon"]);
      await page.getByRole("button", { name: "Stop" }).click();
      await voice.aborted;
      await showsWhatIsStored(user, page, await id(), [question, "The moon"]);
      await ask(page, "Go on");
      (await user.voice(2)).say("It pulls.");
      await (await user.voice(2)).finish();
      await showsWhatIsStored(user, page, await id(), [question, "The moon", "Go on", "It pulls."]);
    });

    test("a second tab's new chat, question and answer appear", async () => {
      const user = await newUser();
      const { id } = await user.addChat({ title: "Tides" });
      const [first, second] = [await user.open(`/?id=${id}`), await user.open(`/?id=${id}`)];
      for (const page of [first, second]) await shows(page, ["Tides?", "Tides."]);
      await ask(second, question);
      const voice = await user.voice();
      voice.say("The moon ");
      for (const page of [first, second]) await shows(page, ["Tides?", "Tides.", question, "The moon"]);
      voice.say("pulls.");
      await voice.finish();
      const all = ["Tides?", "Tides.", question, "The moon pulls."];
      for (const page of [first, second]) await showsWhatIsStored(user, page, id, all);

      await second.goto(new URL(newChat(), recipe.url).href);
      await ask(second, "And the wind?");
      await (await user.voice(2)).finish();
      await expect.poll(() => titlesIn(first)).toEqual(["And the wind?", "Tides"]);
      await shows(first, all);
    });

    test("a chat that is on its way when the user asks takes no question away", async () => {
      const user = await newUser();
      const { id } = await user.addChat({ title: "Tides" });
      const [first, second] = [await user.open(`/?id=${id}`), await user.open()];
      await shows(first, ["Tides?", "Tides."]);
      const held = await holdRequests(first, "GET");
      await rename(second, "Tides", "The moon");
      await held.begun();
      await ask(first, question);
      const voice = await user.voice();
      voice.say("The moon ");
      await shows(first, ["Tides?", "Tides.", question, "The moon"]);
      await held.letGo();
      await expect.poll(() => titlesIn(first)).toEqual(["The moon"]);
      await voice.finish();
      await showsWhatIsStored(user, first, id, ["Tides?", "Tides.", question, "The moon"]);
    });

    test("a question that is asked while the page looks for a running answer gets its own, once", async () => {
      const user = await newUser();
      const { id } = await user.addChat({ title: "Tides" });
      const page = await user.open();
      const held = await holdRequests(page, "GET", /\/stream/);
      await page.goto(new URL(`/?id=${id}`, recipe.url).href);
      await shows(page, ["Tides?", "Tides."]);
      await held.begun();
      await ask(page, question);
      const voice = await user.voice();
      voice.say("The moon ");
      await shows(page, ["Tides?", "Tides.", question, "The moon"]);
      await held.letGo();
      await page.getByRole("button", { name: "Stop" }).waitFor();
      voice.say("pulls.");
      await voice.finish();
      await showsWhatIsStored(user, page, id, ["Tides?", "Tides.", question, "The moon pulls."]);
    });

    test("rename, archive and delete change the store and the list", async () => {
      const user = await newUser();
      for (const title of ["Tides", "Wind", "Rain"]) await user.addChat({ title });
      const page = await user.open();
      const titles = async () => (await recipe.store.getChats({ userId: user.userId })).map(({ title }) => title);
      await rename(page, "Tides", "The moon");
      await expect.poll(() => titlesIn(page)).toEqual(["Rain", "Wind", "The moon"]);
      await expect.poll(titles).toEqual(["Rain", "Wind", "The moon"]);
      await press(page, "Wind", "Archive");
      await expect.poll(() => titlesIn(page)).toEqual(["Rain", "The moon"]);
      await press(page, "The moon", "Delete");
      await expect.poll(() => titlesIn(page)).toEqual(["Rain"]);
      await expect.poll(titles).toEqual(["Rain"]);
      const archived = await recipe.store.getChats({ userId: user.userId, archived: true });
      expect(archived.map(({ title }) => title)).toEqual(["Wind"]);
    });

    test.runIf(isOptimistic)("a change shows at once, and goes if the server refuses it", async () => {
      recipe.allowComplaint("400");
      const user = await newUser();
      for (const title of ["Tides", "Wind"]) await user.addChat({ title });
      const page = await user.open();
      await expect.poll(() => titlesIn(page)).toEqual(["Wind", "Tides"]);
      const [change, list] = [await holdRequests(page, "PATCH"), await holdRequests(page, "GET")];
      const tooLong = "x".repeat(1_001);
      await rename(page, "Tides", tooLong);
      await expect.poll(() => titlesIn(page)).toEqual(["Wind", tooLong]);
      await change.letGo();
      await expect.poll(() => titlesIn(page)).toEqual(["Wind", "Tides"]);
      await page.getByRole("alert").waitFor();
      await list.letGo();
      await expect.poll(() => titlesIn(page)).toEqual(["Wind", "Tides"]);
    });
  });

  async function newUser() {
    const user = await recipe.newUser();
    await user.context.addInitScript(watchTexts);
    return user;
  }

  async function openNewChat() {
    const user = await newUser();
    const page = await user.open(newChat());
    const id = async () => {
      const [chat] = await recipe.store.getChats({ userId: user.userId });
      return chat?.id ?? expect.fail("no chat is stored");
    };
    return { user, page, id };
  }
}

/** The first element of an item of the list opens the chat. */
const itemsIn = (page: Page) => page.getByRole("navigation").getByRole("listitem").locator("> :first-child");

const titlesIn = (page: Page) => itemsIn(page).allInnerTexts();

const textsIn = async (page: Page) =>
  (await page.getByRole("article").allInnerTexts()).map((text) => text.trim()).filter(Boolean);

const shows = (page: Page, texts: string[]) => expect.poll(() => textsIn(page)).toEqual(texts);

/** The answer has ended, for this page and in the store, and both have these texts. */
async function showsWhatIsStored(user: RecipeUser, page: Page, id: string, texts: string[]) {
  await user.idle();
  expect((await user.stored(id)).map((message) => textOf(message)?.trim())).toEqual(texts);
  await shows(page, texts);
  await expect.poll(() => page.getByRole("button", { name: "Stop" }).count()).toBe(0);
  await shows(page, texts);
  expect(await page.evaluate("losses.map((loss) => JSON.stringify(loss))")).toEqual([]);
}

async function ask(page: Page, text: string) {
  await page.getByRole("textbox", { name: "Message" }).fill(text);
  await page.getByRole("textbox", { name: "Message" }).press("Enter");
}

const press = (page: Page, title: string, name: string) =>
  page
    .getByRole("listitem")
    .filter({ has: page.locator("> :first-child").getByText(title, { exact: true }) })
    .getByRole("button", { name, exact: true })
    .click();

async function rename(page: Page, title: string, newTitle: string) {
  page.once("dialog", (dialog) => dialog.accept(newTitle));
  await press(page, title, "Rename");
}

/** Holds requests of this method, once `begun`, until they are let go: then it resolves when the page has the responses. */
async function holdRequests(page: Page, method: string, url = /\/api\/chat/) {
  const requests: Request[] = [];
  let free = () => {};
  const isFree = new Promise<void>((resolve) => {
    free = resolve;
  });
  await page.route(url, async (route) => {
    if (route.request().method() !== method) return route.fallback();
    requests.push(route.request());
    await isFree;
    // The page may not want it any more.
    await route.fallback().catch(() => {});
  });
  return {
    begun: () => eventually(`the page sends a ${method} request`, () => requests.length > 0),
    async letGo() {
      free();
      await Promise.all(requests.map((request) => request.response()));
    },
  };
}

/** Notes in the page when a shown text is taken away, or is another one. */
const watchTexts = `{
  let before = [];
  window.losses = [];
  new MutationObserver(() => {
    const texts = [...document.querySelectorAll("article")].map(({ textContent }) => textContent);
    if (before.some((text, index) => !texts[index]?.startsWith(text))) losses.push({ before, texts });
    before = texts;
  }).observe(document, { childList: true, subtree: true, characterData: true });
}`;

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import axe, { type AxeResults } from "axe-core";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import * as app from "../support/next-app.ts";

const desktop = { width: 1280, height: 800 };
const phone = { width: 390, height: 844 };
const screenshots = join(import.meta.dirname, "../../.data/screenshots");

let server: Awaited<ReturnType<typeof app.start>>;
let browser: Browser;
/** A browser with cookies of its own is a user. */
let user: BrowserContext;
let complaints: string[];

beforeAll(async () => {
  await app.build();
  mkdirSync(screenshots, { recursive: true });
  server = await app.start();
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
  });
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});
beforeEach(async () => {
  complaints = [];
  user = await newUser();
});
afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
  expect(complaints, "errors and warnings in the browser's console").toEqual([]);
});

async function newUser(options: Parameters<Browser["newContext"]>[0] = {}) {
  const context = await browser.newContext({ viewport: desktop, colorScheme: "light", ...options });
  context.setDefaultTimeout(15_000);
  context.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`${message.text()} ${message.location().url}`);
  });
  context.on("weberror", (error) => complaints.push(String(error.error())));
  return context;
}

async function open(path = "/", context = user) {
  const page = await context.newPage();
  await page.goto(new URL(path, server.url).href);
  return page;
}

const messageBox = (page: Page) => page.getByRole("textbox", { name: "Message", exact: true });
const log = (page: Page) => page.getByRole("log");
const messages = (page: Page, role?: "user" | "assistant") =>
  log(page).getByRole("article", role && { name: role, exact: true });
const chatLinks = (page: Page) => page.getByRole("navigation", { name: "Chats" }).locator("> ul a");
const archivedLinks = (page: Page) => page.getByRole("navigation", { name: "Chats" }).locator("details a");
const pathOf = (page: Page) => page.url().slice(server.url.length);

const textsOf = async (page: Page) => (await messages(page).allInnerTexts()).map((text) => text.trim());
const isBusy = async (page: Page) => (await log(page).getAttribute("aria-busy")) === "true";

async function send(page: Page, text: string) {
  await messageBox(page).fill(text);
  await messageBox(page).press("Enter");
  await expect.poll(() => isBusy(page)).toBe(true);
}

/** The log is idle, and ends with an answer. */
async function answered(page: Page, count: number) {
  // In one look, which no other chat can come between.
  const look = () =>
    page.evaluate<{ isBusy: boolean; roles: string[] }>(`({
      isBusy: document.querySelector("[role=log]").ariaBusy === "true",
      roles: [...document.querySelectorAll("[role=log] article")].map(({ ariaLabel }) => ariaLabel),
    })`);
  const roles = Array.from({ length: count }, (_, index) => (index % 2 === 0 ? "user" : "assistant"));
  await expect.poll(look, { timeout: 15_000 }).toEqual({ isBusy: false, roles });
  return textsOf(page);
}

const idle = (page: Page) => expect.poll(() => isBusy(page), { timeout: 15_000 }).toBe(false);

async function ask(page: Page, text: string) {
  const before = await messages(page).count();
  await send(page, text);
  return answered(page, before + 2);
}

async function newChat(page: Page) {
  const before = page.url();
  await page.getByRole("button", { name: "New chat", exact: true }).click();
  await expect.poll(() => page.url()).not.toBe(before);
  await expect.poll(() => messages(page).count()).toBe(0);
}

const more = (page: Page, title: string) => page.getByRole("button", { name: `More: ${title}`, exact: true });
const focused = (page: Page) => page.locator(":focus");

/** On a phone they are behind a button. */
async function showChats(page: Page) {
  const button = page.getByRole("button", { name: "Chats", exact: true });
  if ((await button.isVisible()) && !(await page.getByRole("navigation", { name: "Chats" }).isVisible())) {
    await button.click();
  }
}

/** From the menu of a chat in the list. */
async function choose(page: Page, title: string, action: "Rename" | "Archive" | "Unarchive" | "Delete") {
  await more(page, title).click();
  await page.getByRole("button", { name: action, exact: true }).click();
}

/** As a request of its own, past the page. */
const request = (
  context: BrowserContext,
  method: string,
  path: string,
  { id, data }: { id: string | null; data?: unknown },
) => context.request.fetch(`${server.url}/api/chat/${id}${path}`, { method, ...(data === undefined ? {} : { data }) });

const chatIdOf = (page: Page) => new URL(page.url()).searchParams.get("chatId");

async function firstWords(page: Page, length = 20) {
  await expect.poll(async () => (await messages(page, "assistant").last().innerText()).length).toBeGreaterThan(length);
  return messages(page, "assistant").last().innerText();
}

async function expectAccessible(page: Page) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate<AxeResults>("axe.run(document)");
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(", ")}`)).toEqual([]);
}

async function expectFits(page: Page, { width, height }: { width: number; height: number }) {
  expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(width);
  const box = await messageBox(page).boundingBox();
  if (!box) expect.fail("The message box is not shown.");
  expect(box.x).toBeGreaterThanOrEqual(0);
  expect(box.x + box.width).toBeLessThanOrEqual(width);
  expect(box.y + box.height).toBeLessThanOrEqual(height);
}

describe("a conversation", () => {
  test("a question appears at once, and its reply word by word", async () => {
    const page = await open();
    const started = Date.now();
    await send(page, "What is the capital of Sweden?");
    expect(await textsOf(page)).toContain("What is the capital of Sweden?");
    const lengths = new Set<number>();
    while (await isBusy(page)) {
      if ((await messages(page).count()) > 1) lengths.add((await messages(page).last().innerText()).length);
    }
    expect(lengths.size).toBeGreaterThan(5);
    expect(Date.now() - started).toBeLessThan(8_000);
    const [question, answer] = await answered(page, 2);
    expect(question).toBe("What is the capital of Sweden?");
    expect(answer).toContain("I am a mock model");
    expect(await messages(page, "assistant").locator("strong").innerText()).toBe("mock model");
  });

  test("only the last message is sent", async () => {
    const page = await open();
    await ask(page, "One");
    const request = page.waitForRequest("**/api/chat");
    await ask(page, "Two");
    const body: unknown = (await request).postDataJSON();
    expect(body).toEqual({
      id: new URL(page.url()).searchParams.get("chatId"),
      message: { id: expect.any(String), role: "user", parts: [{ type: "text", text: "Two" }] },
      trigger: "submit-message",
    });
  });

  test("goes on with a second message, and is all there after a reload", async () => {
    const page = await open();
    await ask(page, "First question");
    const texts = await ask(page, "Second question");
    expect(texts[3]).toContain("question 2 of our chat");
    await page.reload();
    expect(await answered(page, 4)).toEqual(texts);
    expect((await ask(page, "Third question"))[5]).toContain("question 3 of our chat");
  });

  test("Shift+Enter makes a line, and nothing is sent while a reply streams or when there is nothing to send", async () => {
    const page = await open();
    await messageBox(page).fill("   ");
    await messageBox(page).press("Enter");
    expect(await messages(page).count()).toBe(0);
    await messageBox(page).fill("One line");
    await messageBox(page).press("Shift+Enter");
    await messageBox(page).pressSequentially("and another");
    await page.getByRole("button", { name: "Send" }).click();
    await messageBox(page).fill("Too early");
    await messageBox(page).press("Enter");
    expect((await answered(page, 2))[0]).toBe("One line\nand another");
    expect(await messageBox(page).inputValue()).toBe("Too early");
  });

  test("the same conversation gets the same answers", async () => {
    const [one, two] = [await open(), await open("/", await newUser())];
    for (const question of ["Hello?", "Still there?"]) {
      const [texts, others] = await Promise.all([ask(one, question), ask(two, question)]);
      expect(texts).toEqual(others);
    }
  });

  test("HTML is text, and images are not loaded", async () => {
    const page = await open();
    const texts = await ask(page, "<b>bold</b> <img src=x> ![](https://example.com/x.png) <script>alert(1)</script>");
    expect(texts[1]).toContain("<b>bold</b> <img src=x>");
    expect(await log(page).locator("b, img, script").count()).toBe(0);
  });

  test("regenerate replaces the answer", async () => {
    const page = await open();
    const texts = await ask(page, "Again, please");
    await page.getByRole("button", { name: "Regenerate" }).click();
    await expect.poll(() => isBusy(page)).toBe(true);
    expect((await firstWords(page)).length).toBeLessThan(texts[1]?.length ?? 0);
    expect(await messages(page).count()).toBe(2);
    expect(await answered(page, 2)).toEqual(texts);
    await page.reload();
    expect(await answered(page, 2)).toEqual(texts);
  });

  test("an edited question is answered anew, and cuts what followed it", async () => {
    const page = await open();
    await ask(page, "Firts");
    await ask(page, "Second");
    await messages(page, "user").first().getByRole("button", { name: "Edit" }).click();
    const editor = page.getByRole("textbox", { name: "Edit message" });
    expect(await editor.inputValue()).toBe("Firts");
    await editor.press("Escape");
    expect(await editor.count()).toBe(0);

    await messages(page, "user").first().getByRole("button", { name: "Edit" }).click();
    await editor.fill("First");
    await editor.press("Enter");
    await expect.poll(() => isBusy(page)).toBe(true);
    const texts = await answered(page, 2);
    expect(texts[0]).toBe("First");
    expect(texts[1]).toContain("question 1 of our chat");
    await page.reload();
    expect(await answered(page, 2)).toEqual(texts);
  });

  test("a failed request says so, and can be tried again", async () => {
    const page = await open();
    await page.route("**/api/chat", (route) => route.abort());
    await messageBox(page).fill("Can you hear me?");
    await messageBox(page).press("Enter");
    const alert = page.getByRole("main").getByRole("alert");
    await alert.waitFor();
    await expectAccessible(page);
    await page.unroute("**/api/chat");
    await alert.getByRole("button", { name: "Try again" }).click();
    expect((await answered(page, 2))[1]).toContain("Can you hear me?");
    expect(await alert.count()).toBe(0);
    // The browser's own line about the aborted request.
    complaints = complaints.filter((text) => !text.includes("ERR_FAILED"));
  });
});

describe("the list of chats", () => {
  test("has each chat once, titled by its first question, newest activity first, without a reload", async () => {
    const page = await open();
    expect(await chatLinks(page).count()).toBe(0);
    const long = "A question that is a good deal longer than any title in a list of chats has a right to be";
    const asked = ["Apples", "Pears", long];
    for (const question of asked) {
      await newChat(page);
      await ask(page, question);
    }
    const title = "A question that is a good deal longer than any title in a l…";
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual([title, "Pears", "Apples"]);
    expect(await page.title()).toBe(title);

    await chatLinks(page).last().click();
    await expect.poll(() => page.title()).toBe("Apples");
    expect((await answered(page, 2))[0]).toBe("Apples");
    expect(pathOf(page)).toBe(await chatLinks(page).last().getAttribute("href"));
    expect(pathOf(page)).toMatch(/^\/\?chatId=./);
    expect(await page.locator("[aria-current=page]").innerText()).toBe("Apples");

    await ask(page, "More apples");
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Apples", title, "Pears"]);

    await page.getByRole("link", { name: "Pears" }).click();
    await expect.poll(async () => (await textsOf(page))[0]).toBe("Pears");
    await page.goBack();
    await expect.poll(async () => (await textsOf(page))[2]).toBe("More apples");
    expect(await messages(page).count()).toBe(4);
  });

  test("a new chat is in it while its first answer still streams", async () => {
    const page = await open();
    await send(page, "Quickly");
    await chatLinks(page).waitFor();
    expect(await isBusy(page)).toBe(true);
    expect(await chatLinks(page).innerText()).toBe("Quickly");
    await answered(page, 2);
  });
});

describe("what the list of chats can do:", () => {
  test("a chat is renamed in its place", async () => {
    const page = await open();
    await ask(page, "Apples");
    await choose(page, "Apples", "Rename");
    const title = page.getByRole("textbox", { name: "Title" });
    expect(await title.inputValue()).toBe("Apples");
    await title.fill("  Fruit ");
    await title.press("Enter");
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Fruit"]);
    expect(await focused(page).getAttribute("aria-label")).toBe("More: Fruit");
    await expect.poll(() => page.title()).toBe("Fruit");
    await page.reload();
    expect(await chatLinks(page).allInnerTexts()).toEqual(["Fruit"]);

    for (const written of ["Vegetables", ""]) {
      await choose(page, "Fruit", "Rename");
      await title.fill(written);
      await title.press(written ? "Escape" : "Enter");
      expect(await title.count()).toBe(0);
      expect(await focused(page).getAttribute("aria-label")).toBe("More: Fruit");
    }
    await choose(page, "Fruit", "Rename");
    await title.fill("Left by a click");
    await messageBox(page).click();
    await expect.poll(() => page.title()).toBe("Left by a click");
    await page.reload();
    expect(await chatLinks(page).allInnerTexts()).toEqual(["Left by a click"]);
    // Its place in the list and its messages are as they were.
    expect((await answered(page, 2))[0]).toBe("Apples");
  });

  test("a rename that the server does not hear of is taken back, and said", async () => {
    const page = await open();
    await ask(page, "Apples");
    await page.route("**/api/chat/*", (route) => route.abort());
    await choose(page, "Apples", "Rename");
    await page.getByRole("textbox", { name: "Title" }).fill("Pears");
    await page.keyboard.press("Enter");
    await page.getByRole("navigation").getByRole("alert").waitFor();
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Apples"]);
    await choose(page, "Apples", "Delete");
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await page.getByRole("dialog").getByRole("alert").waitFor();
    await expectAccessible(page);
    await page.unroute("**/api/chat/*");
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await expect.poll(() => chatLinks(page).count()).toBe(0);
    complaints = complaints.filter((text) => !text.includes("ERR_FAILED"));
  });

  test("a chat is deleted after a question, and the one that is shown makes room for a new one", async () => {
    const page = await open();
    await ask(page, "Apples");
    const apples = pathOf(page);
    await newChat(page);
    await ask(page, "Pears");
    await expect.poll(() => chatLinks(page).count()).toBe(2);

    const dialog = page.getByRole("dialog", { name: "Delete this chat?" });
    await choose(page, "Apples", "Delete");
    expect(await dialog.innerText()).toContain("“Apples”");
    expect(await focused(page).innerText()).toBe("Cancel");
    await page.keyboard.press("Escape");
    expect(await dialog.count()).toBe(0);
    expect(await focused(page).getAttribute("aria-label")).toBe("More: Apples");
    await choose(page, "Apples", "Delete");
    await dialog.getByRole("button", { name: "Cancel" }).click();
    expect(await chatLinks(page).count()).toBe(2);

    await choose(page, "Apples", "Delete");
    await dialog.getByRole("button", { name: "Delete" }).click();
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Pears"]);
    expect(await focused(page).getAttribute("aria-label")).toBe("Chats");
    expect((await textsOf(page))[0]).toBe("Pears");

    const pears = pathOf(page);
    await choose(page, "Pears", "Delete");
    await dialog.getByRole("button", { name: "Delete" }).click();
    await expect.poll(() => chatLinks(page).count()).toBe(0);
    expect(await messages(page).count()).toBe(0);
    expect(pathOf(page)).not.toBe(pears);
    expect(await focused(page).getAttribute("aria-label")).toBe("Message");
    await ask(page, "Plums");
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Plums"]);
    for (const path of [apples, pears]) expect(await messages(await open(path)).count()).toBe(0);
  });

  test("a chat that is deleted while its answer streams stays deleted", async () => {
    const page = await open();
    const path = pathOf(page);
    await send(page, "Never mind");
    await firstWords(page);
    await choose(page, "Never mind", "Delete");
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await expect.poll(() => chatLinks(page).count()).toBe(0);
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    const again = await open(path);
    expect(await chatLinks(again).count()).toBe(0);
    expect(await messages(again).count()).toBe(0);
    // The browser's own line, if the answer breaks off before the page has let go of it.
    complaints = complaints.filter((text) => !text.includes("ERR_INCOMPLETE_CHUNKED_ENCODING"));
  });

  test("a chat is archived and taken back, and the archive is there after a reload", async () => {
    const page = await open();
    for (const question of ["Apples", "Pears"]) {
      await newChat(page);
      await ask(page, question);
    }
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Pears", "Apples"]);
    const archive = page.locator("summary");
    expect(await archive.count()).toBe(0);
    await choose(page, "Apples", "Archive");
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Pears"]);
    expect(await archivedLinks(page).isVisible()).toBe(false);
    await archive.click();
    expect(await archivedLinks(page).allInnerTexts()).toEqual(["Apples"]);
    await archivedLinks(page).click();
    await expect.poll(async () => (await textsOf(page))[0]).toBe("Apples");

    // The one that is shown is shown in its list.
    await page.reload();
    expect(await archivedLinks(page).isVisible()).toBe(true);
    expect(await archivedLinks(page).getAttribute("aria-current")).toBe("page");
    expect(await chatLinks(page).allInnerTexts()).toEqual(["Pears"]);
    await ask(page, "Still there?");
    expect(await archivedLinks(page).allInnerTexts()).toEqual(["Apples"]);

    await choose(page, "Apples", "Unarchive");
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Apples", "Pears"]);
    expect(await archive.count()).toBe(0);
  });

  test("a menu closes on Escape and on a click elsewhere, and is not cut off at the window's end", async () => {
    user = await newUser({ viewport: { width: 1280, height: 400 } });
    const page = await open();
    for (let number = 1; number <= 8; number++) {
      const data = {
        id: `menu-${number}-${Date.now()}`,
        message: { id: "1", role: "user", parts: [{ type: "text", text: `${number}` }] },
      };
      await user.request.post(`${server.url}/api/chat`, { data });
    }
    await page.reload();
    const menu = page.locator(".menu:popover-open");
    for (const title of ["8", "1"]) {
      await more(page, title).click();
      const box = await menu.boundingBox();
      if (!box) expect.fail("The menu is not shown.");
      expect(box.y + box.height).toBeLessThanOrEqual(400);
      await page.keyboard.press("Escape");
      expect(await menu.count()).toBe(0);
      expect(await focused(page).getAttribute("aria-label")).toBe(`More: ${title}`);
    }
    await more(page, "8").click();
    await page.getByRole("main").click({ position: { x: 5, y: 5 } });
    expect(await menu.count()).toBe(0);
  });
});

describe("what a conversation can do:", () => {
  test("it goes on in a new chat from any answer, and both go on by themselves", async () => {
    const page = await open();
    await ask(page, "First");
    const texts = await ask(page, "Second");
    const path = pathOf(page);
    const fork = page.getByRole("button", { name: "Continue in a new chat" });
    expect(await fork.count()).toBe(2);
    await fork.first().click();
    await expect.poll(() => pathOf(page)).not.toBe(path);
    expect(await answered(page, 2)).toEqual(texts.slice(0, 2));
    await expect.poll(() => chatLinks(page).count()).toBe(2);
    const forked = await ask(page, "Another second");
    expect(forked[3]).toContain("question 2 of our chat");
    await page.reload();
    expect(await answered(page, 4)).toEqual(forked);

    const other = await open(path);
    expect(await answered(other, 4)).toEqual(texts);
    expect((await ask(other, "Third"))[5]).toContain("question 3 of our chat");
    await page.reload();
    expect(await answered(page, 4)).toEqual(forked);
  });

  test("it can be copied while its next answer streams, which goes on", async () => {
    const page = await open();
    const texts = await ask(page, "First");
    const path = pathOf(page);
    await send(page, "Second");
    // Of the second answer: the first one has words already.
    await expect.poll(() => messages(page).count()).toBe(4);
    await firstWords(page);
    const fork = page.getByRole("button", { name: "Continue in a new chat" });
    expect(await fork.last().isDisabled()).toBe(true);
    for (const name of ["Edit", "Delete from here"]) {
      for (const button of await page.getByRole("button", { name }).all()) expect(await button.isDisabled()).toBe(true);
    }
    await fork.first().click();
    await expect.poll(() => pathOf(page)).not.toBe(path);
    expect(await answered(page, 2)).toEqual(texts);
    expect((await answered(await open(path), 4))[3]).toContain("question 2 of our chat");
  });

  test("a question is deleted with all that followed, after being asked", async () => {
    const page = await open();
    const texts = await ask(page, "First");
    await ask(page, "Second");
    await ask(page, "Third");
    const dialog = page.getByRole("dialog", { name: "Delete from here?" });
    const button = messages(page, "user").nth(1).getByRole("button", { name: "Delete from here" });
    await button.click();
    await page.keyboard.press("Escape");
    expect(await dialog.count()).toBe(0);
    expect(await focused(page).getAttribute("aria-label")).toBe("Delete from here");
    expect(await messages(page).count()).toBe(6);
    await button.click();
    await dialog.getByRole("button", { name: "Delete" }).click();
    expect(await answered(page, 2)).toEqual(texts);
    expect(await focused(page).getAttribute("aria-label")).toBe("Message");
    await page.reload();
    expect(await answered(page, 2)).toEqual(texts);
    expect((await ask(page, "Second again"))[3]).toContain("question 2 of our chat");
    await messages(page, "user").first().getByRole("button", { name: "Delete from here" }).click();
    await dialog.getByRole("button", { name: "Delete" }).click();
    await expect.poll(() => messages(page).count()).toBe(0);
    expect((await ask(page, "From the beginning"))[1]).toContain("question 1 of our chat");
  });

  test("a question that never reached the server can be deleted, too", async () => {
    const page = await open();
    const texts = await ask(page, "First");
    await page.route("**/api/chat", (route) => route.abort());
    await messageBox(page).fill("Lost");
    await messageBox(page).press("Enter");
    const alert = page.getByRole("main").getByRole("alert");
    await alert.waitFor();
    await messages(page, "user").last().getByRole("button", { name: "Delete from here" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    expect(await answered(page, 2)).toEqual(texts);
    expect(await alert.count()).toBe(0);
    expect(complaints.splice(0)).toEqual([expect.stringContaining("ERR_FAILED"), expect.stringContaining("404")]);
  });
});

describe("another tab", () => {
  test("shows within a moment what has changed in this one", async () => {
    const [page, other] = [await open(), await open()];
    const texts = await ask(page, "Apples");
    await expect.poll(() => chatLinks(other).allInnerTexts()).toEqual(["Apples"]);
    const same = await open(pathOf(page));
    await choose(page, "Apples", "Rename");
    await page.getByRole("textbox", { name: "Title" }).fill("Fruit");
    await page.keyboard.press("Enter");
    await expect.poll(() => chatLinks(other).allInnerTexts()).toEqual(["Fruit"]);
    await choose(other, "Fruit", "Archive");
    await expect.poll(() => archivedLinks(page).allInnerTexts()).toEqual(["Fruit"]);
    await choose(page, "Fruit", "Unarchive");
    await expect.poll(() => chatLinks(other).allInnerTexts()).toEqual(["Fruit"]);

    // The same chat, too, with what is being written there.
    await messageBox(same).fill("A draft");
    await ask(page, "More apples");
    expect(await answered(same, 4)).toEqual(await textsOf(page));
    await messages(page, "user").last().getByRole("button", { name: "Delete from here" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    expect(await answered(same, 2)).toEqual(texts);
    expect(await messageBox(same).inputValue()).toBe("A draft");

    await choose(page, "Fruit", "Delete");
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await expect.poll(() => chatLinks(other).count()).toBe(0);
    await expect.poll(() => messages(same).count()).toBe(0);
  });

  test("shows what another device has changed when one comes back to it", async () => {
    const page = await open();
    await ask(page, "Apples");
    const [id, data] = [chatIdOf(page), { title: "Fruit" }];
    expect((await request(user, "PATCH", "", { id, data })).status()).toBe(200);
    expect(await chatLinks(page).allInnerTexts()).toEqual(["Apples"]);
    await page.evaluate("window.dispatchEvent(new Event('focus'))");
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Fruit"]);
  });
});

describe("an answer nobody waited for goes on, and is there, whole:", () => {
  const question = "What if I leave?";
  let whole: string[];
  beforeEach(async () => {
    whole = await ask(await open(), question);
  });

  test("the window was closed", async () => {
    const page = await open();
    await send(page, question);
    const said = await firstWords(page);
    expect(said.length).toBeLessThan(whole[1]?.length ?? 0);
    const path = pathOf(page);
    await page.close();
    expect(await answered(await open(path), 2)).toEqual(whole);
  });

  test("the page was reloaded, and shows the answer being written", async () => {
    const page = await open();
    await send(page, question);
    const said = await firstWords(page);
    await page.reload();
    await expect.poll(async () => (await textsOf(page))[1]).toContain(said);
    expect(await isBusy(page)).toBe(true);
    expect(await answered(page, 2)).toEqual(whole);
    expect(await ask(page, "And now?")).toHaveLength(4);
  });

  test("a second tab shows it being written, too", async () => {
    const page = await open();
    await send(page, question);
    await firstWords(page);
    const other = await open(pathOf(page));
    const said = await firstWords(other);
    expect(said.length).toBeLessThan(whole[1]?.length ?? 0);
    expect(await answered(other, 2)).toEqual(whole);
    expect(await answered(page, 2)).toEqual(whole);
  });

  test("it ended between the page and its script", async () => {
    const page = await open();
    await send(page, question);
    const slow = await user.newPage();
    let answer = Promise.resolve();
    await slow.route("**/api/chat/*/stream*", async (route) => {
      await answer;
      await route.continue();
    });
    answer = answered(page, 2).then(() => {});
    await slow.goto(page.url());
    expect(await messages(slow, "assistant").count()).toBe(0);
    expect(await answered(slow, 2)).toEqual(whole);
  });

  test("another chat was looked at meanwhile", async () => {
    const page = await open();
    await send(page, question);
    await firstWords(page);
    const path = pathOf(page);
    const shownPath = () => page.locator("[aria-current=page]").getAttribute("href");
    await expect.poll(() => chatLinks(page).count()).toBe(2);
    await chatLinks(page).last().click();
    await expect.poll(shownPath).not.toBe(path);
    expect(await answered(page, 2)).toEqual(whole);
    await page.goBack();
    await expect.poll(shownPath).toBe(path);
    expect(await answered(page, 2)).toEqual(whole);
    await page.reload();
    expect(await answered(page, 2)).toEqual(whole);
  });
});

describe("stop", () => {
  test.each(["the tab that asked", "another tab"])(
    "from %s ends the answer on the server, and what was said stays",
    async (from) => {
      const page = await open();
      const whole = await ask(page, "What was that?");
      await page.getByRole("button", { name: "Regenerate" }).click();
      await firstWords(page);
      const stopping = from === "another tab" ? await open(pathOf(page)) : page;
      await firstWords(stopping);
      await stopping.getByRole("button", { name: "Stop" }).click();
      const texts = await answered(page, 2);
      expect(whole[1]?.startsWith(texts[1] ?? "")).toBe(true);
      expect(texts[1]?.length).toBeLessThan(whole[1]?.length ?? 0);
      expect(await answered(stopping, 2)).toEqual(texts);
      await page.reload();
      expect(await answered(page, 2)).toEqual(texts);
      expect(await ask(page, "Go on")).toHaveLength(4);
    },
  );
});

test("what a server has said before it was killed is there, and can be asked again", async () => {
  const left = await open();
  const question = "Will you survive?";
  await send(left, question);
  const path = pathOf(left);
  // More than can be lost, which is what was said within a quarter of a second.
  const said = await firstWords(left, 80);
  await server.restart("SIGKILL");
  // Not reloaded: it may be on its way to the browser's own page for servers that are away.
  await left.close();
  complaints.length = 0;
  const page = await open(path);
  await expect.poll(async () => (await textsOf(page))[1]).toContain(said.slice(0, 20));
  // The server is known to be dead after ten seconds of silence.
  const alert = page.getByRole("main").getByRole("alert");
  await alert.waitFor({ timeout: 30_000 });
  const partial = await answered(page, 2);
  await page.reload();
  expect(await answered(page, 2)).toEqual(partial);
  await page.getByRole("button", { name: "Regenerate" }).click();
  await expect.poll(() => isBusy(page)).toBe(true);
  const texts = await answered(page, 2);
  expect(texts[1]?.length).toBeGreaterThan(partial[1]?.length ?? 0);
  await page.reload();
  expect(await answered(page, 2)).toEqual(texts);
});

test.each(["SIGTERM", "SIGKILL"] as const)("chats and users survive a restart of the server by %s", async (signal) => {
  const page = await open();
  const texts = await ask(page, "Will you remember me?");
  const path = pathOf(page);
  await page.close();
  await server.restart(signal);
  const again = await open(path);
  expect(await answered(again, 2)).toEqual(texts);
  expect(await chatLinks(again).allInnerTexts()).toEqual(["Will you remember me?"]);
  expect(await ask(again, "So you do")).toHaveLength(4);
});

describe("two users", () => {
  test("see nothing of each other, not even by the address of a chat", async () => {
    const page = await open();
    const texts = await ask(page, "My secret is 4711");
    const stranger = await newUser();
    const response = await stranger.request.get(page.url());
    expect(await response.text()).not.toContain("4711");

    const other = await open(pathOf(page), stranger);
    expect(await messages(other).count()).toBe(0);
    expect(await chatLinks(other).count()).toBe(0);
    expect(await other.title()).toBe(await (await open("/", await newUser())).title());

    await messageBox(other).fill("Let me in");
    await messageBox(other).press("Enter");
    await other.getByRole("main").getByRole("alert").waitFor();
    expect(complaints.splice(0)).toEqual([expect.stringContaining("404")]);
    await page.reload();
    expect(await answered(page, 2)).toEqual(texts);
  });

  test("cannot change, copy or delete each other's chats", async () => {
    const page = await open();
    const question = page.waitForRequest("**/api/chat");
    const texts = await ask(page, "Mine");
    const { id, message } = (await question).postDataJSON();
    const requests = [
      ["PATCH", "", { title: "Yours" }],
      ["PATCH", "", { archived: true }],
      ["POST", "/fork", { newChatId: "theft", throughMessageId: message.id }],
      ["GET", "/messages", undefined],
      ["GET", `/messages?before=${message.id}`, undefined],
      ["DELETE", `/messages/${message.id}`, undefined],
      ["DELETE", "", undefined],
    ] as const;
    const stranger = await newUser();
    for (const [method, path, data] of requests) {
      const response = await request(stranger, method, path, { id, data });
      expect([method, path, response.status()]).toEqual([method, path, 404]);
      // To the letter what is said about a chat that nobody has.
      const nobody = await request(stranger, method, path, { id: "nobody", data });
      expect([nobody.status(), await nobody.text()]).toEqual([404, await response.text()]);
    }
    expect(await chatLinks(await open("/", stranger)).count()).toBe(0);

    // Nor copy one of their own over it; and whose it is themselves, not twice either.
    const own = { id: "own", message };
    expect((await stranger.request.post(`${server.url}/api/chat`, { data: own })).status()).toBe(200);
    const data = { newChatId: id, throughMessageId: message.id };
    expect((await request(stranger, "POST", "/fork", { id: "own", data })).status()).toBe(404);
    expect((await request(user, "POST", "/fork", { id, data })).status()).toBe(409);
    await page.reload();
    expect(await answered(page, 2)).toEqual(texts);
    expect(await chatLinks(page).allInnerTexts()).toEqual(["Mine"]);
  });

  test("a cookie that was not signed here is nobody's", async () => {
    const page = await open();
    await ask(page, "Mine");
    const [cookie] = await user.cookies();
    if (!cookie) expect.fail("There is no cookie.");
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: "Lax" });
    const forger = await newUser();
    await forger.addCookies([{ ...cookie, value: `${cookie.value.split(".")[0]}.forged` }]);
    expect(await chatLinks(await open(pathOf(page), forger)).count()).toBe(0);
  });

  test.each(["a".repeat(300), "%00"])("an address that cannot be a chat's is not found: %.5s", async (chatId) => {
    const response = await user.request.get(`${server.url}/?chatId=${chatId}`);
    expect(response.status()).toBe(404);
  });
});

describe("what does not come from the page is refused:", () => {
  const text = [{ type: "text", text: "Hi" }];
  test.each([
    ["no JSON", "{"],
    ["null", "null"],
    ["no message", '{"id":"x"}'],
    ["a number for an id", JSON.stringify({ id: 7, message: { id: "1", role: "user", parts: text } })],
    ["an empty id", JSON.stringify({ id: "", message: { id: "1", role: "user", parts: text } })],
    ["the assistant's words", JSON.stringify({ id: "x", message: { id: "1", role: "assistant", parts: text } })],
    ["unknown parts", JSON.stringify({ id: "x", message: { id: "1", role: "user", parts: [null] } })],
  ])("%s", async (_, data) => {
    const headers = { "content-type": "application/json" };
    const response = await user.request.post(`${server.url}/api/chat`, { headers, data: Buffer.from(data) });
    expect(response.status()).toBe(400);
    expect(await response.json()).toEqual({ error: expect.any(String) });
  });
});

test.each([
  ["PATCH", "", "{"],
  ["PATCH", "", "{}"],
  ["PATCH", "", '{"title":""}'],
  ["PATCH", "", '{"title":7}'],
  ["PATCH", "", JSON.stringify({ title: "x".repeat(1_001) })],
  ["PATCH", "", '{"archived":"yes"}'],
  ["POST", "/fork", "{}"],
  ["POST", "/fork", '{"newChatId":"","throughMessageId":"1"}'],
  ["DELETE", `/messages/${"x".repeat(256)}`, ""],
  ["GET", "/messages?limit=0", ""],
  ["GET", "/messages?limit=201", ""],
  ["GET", "/messages?limit=all", ""],
  ["GET", "/messages?before=", ""],
  ["GET", `/messages?before=${"x".repeat(256)}`, ""],
  ["GET", "/../../search", ""],
  ["GET", "/../../search?query=", ""],
  ["GET", `/../../search?query=${"x".repeat(256)}`, ""],
  ["GET", "/../../search?query=x&before=x", ""],
])("what cannot be meant is refused: %s %s %#", async (method, path, data) => {
  const headers = { "content-type": "application/json" };
  const response = await user.request.fetch(`${server.url}/api/chat/x${path}`, {
    method,
    headers,
    ...(data ? { data: Buffer.from(data) } : {}),
  });
  expect(response.status()).toBe(400);
  expect(await response.json()).toEqual({ error: expect.any(String) });
});

test("a body of more than a megabyte is refused before it is read to the end", async () => {
  const message = { id: "1", role: "user", parts: [{ type: "text", text: "x".repeat(1_000_000) }] };
  const response = await user.request.post(`${server.url}/api/chat`, { data: { id: "x", message } });
  expect(response.status()).toBe(413);
});

describe.each([
  ["a wide window", { width: 1100, height: 800 }],
  ["a phone", phone],
])("a conversation of several screens, on %s,", (_, viewport) => {
  /** How far its end is below, and its beginning above, what is shown of the conversation: 0 at the very end. */
  const below = (page: Page) =>
    page.evaluate<number>(`{
      const [scroll, column] = [document.querySelector(".scroll"), document.querySelector(".scroll .column")];
      Math.round(column.getBoundingClientRect().bottom - scroll.getBoundingClientRect().bottom);
    }`);
  const above = (page: Page) =>
    page.evaluate<number>(`{
      const [scroll, column] = [document.querySelector(".scroll"), document.querySelector(".scroll .column")];
      Math.round(scroll.getBoundingClientRect().top - column.getBoundingClientRect().top);
    }`);
  const wheel = async (page: Page, distance: number) => {
    const box = await page.locator(".scroll").boundingBox();
    await page.mouse.move((box?.x ?? 0) + 50, (box?.y ?? 0) + 50);
    await page.mouse.wheel(0, distance);
  };
  const isShown = (page: Page, text: string) =>
    page.evaluate<boolean>(`{
      const { top, bottom } = document.querySelector(".scroll").getBoundingClientRect();
      const article = [...document.querySelectorAll("[role=log] article")].find(({ innerText }) => innerText.includes("${text}"));
      const box = article.getBoundingClientRect();
      box.bottom > top && box.top < bottom;
    }`);

  let page: Page;
  beforeEach(async () => {
    page = await open("/", await newUser({ viewport }));
    for (let number = 1; number <= 4; number++) await ask(page, `Question ${number}\n${"a line\n".repeat(12)}`);
    await expect.poll(() => above(page)).toBeGreaterThan(2 * viewport.height);
  });

  /** The buttons of the last message can be used: they are within the scroll area, and nothing lies over them. */
  const expectAtEnd = async () => {
    await expect.poll(() => below(page)).toBeLessThanOrEqual(1);
    const button = page.getByRole("button", { name: "Regenerate" });
    await button.click({ trial: true });
    const [inside, box] = [await page.locator(".scroll").boundingBox(), await button.boundingBox()];
    if (!inside || !box) expect.fail("The button is not shown.");
    expect(box.y).toBeGreaterThanOrEqual(inside.y);
    expect(box.y + box.height).toBeLessThanOrEqual(inside.y + inside.height);
  };

  test("its beginning and its end are reached by wheel, by keyboard, and the end after a reload", async () => {
    await expectAtEnd();
    await wheel(page, -100_000);
    await expect.poll(() => above(page)).toBeLessThanOrEqual(1);
    expect(await isShown(page, "Question 1")).toBe(true);
    await wheel(page, 100_000);
    await expectAtEnd();

    await messages(page, "user").first().getByRole("button", { name: "Edit" }).focus();
    await page.keyboard.press("Home");
    await expect.poll(() => isShown(page, "Question 1")).toBe(true);
    await page.keyboard.press("End");
    await expectAtEnd();

    await page.reload();
    await answered(page, 8);
    await expectAtEnd();
  });

  test("the newest words stay in view while an answer streams, unless the reader has scrolled up", async () => {
    await send(page, "Question 5");
    await firstWords(page);
    expect(await below(page)).toBeLessThanOrEqual(1);
    await answered(page, 10);
    await expectAtEnd();

    await send(page, "Question 6");
    await firstWords(page);
    await wheel(page, -2_000);
    await expect.poll(() => below(page)).toBeGreaterThan(500);
    const seen = await above(page);
    await answered(page, 12);
    // Both are rounded.
    expect(Math.abs((await above(page)) - seen)).toBeLessThanOrEqual(1);
  });
});

const articleIds = (page: Page) =>
  page.evaluate<string[]>(`[...document.querySelectorAll("[role=log] article")].map(({ id }) => id)`);
const showOlder = (page: Page) => page.getByRole("button", { name: "Show older messages" });
const searchBox = (page: Page) => page.getByRole("searchbox", { name: "Search chats" });
const found = (page: Page) => page.getByRole("list", { name: "Found" }).getByRole("link");
const searchStatus = (page: Page) => page.getByRole("search").getByRole("status");

/** How the ids of its messages are, in order. */
const idsOfLongChat = (count: number) =>
  Array.from({ length: count }, (_, index) => `${index % 2 ? "answer" : "question"}-${Math.floor(index / 2) + 1}`);

/** What the server has, page by page from the end. */
async function storedIds(context: BrowserContext, id: string | null) {
  const ids: string[] = [];
  for (let hasMore = true; hasMore; ) {
    const before = ids[0] === undefined ? "" : `&before=${ids[0]}`;
    const page = await (await request(context, "GET", `/messages?limit=200${before}`, { id })).json();
    ids.unshift(...page.messages.map((message: { id: string }) => message.id));
    hasMore = page.hasMore;
  }
  return ids;
}

const userIdOf = async (context: BrowserContext) => {
  const [cookie] = await context.cookies();
  return cookie?.value.split(".")[0] ?? expect.fail("There is no cookie.");
};

/** Another copy of a chat, which may be changed. */
async function copyOf(context: BrowserContext, path: string, throughMessageId: string) {
  const newChatId = `copy-${crypto.randomUUID()}`;
  const id = new URLSearchParams(path.slice(1)).get("chatId");
  const response = await request(context, "POST", "/fork", { id, data: { newChatId, throughMessageId } });
  expect(response.status()).toBe(201);
  return `/?chatId=${newChatId}`;
}

describe("a long chat", () => {
  const [all, some] = [5_000, 200];
  /** The cookies of the user whose chats they are: each test has another browser context. */
  let storageState: Awaited<ReturnType<BrowserContext["storageState"]>>;
  let [longest, long] = ["", ""];

  beforeAll(async () => {
    const owner = await newUser();
    await open("/", owner);
    const userId = await userIdOf(owner);
    storageState = await owner.storageState();
    await owner.close();
    longest = await server.makeLongChat(userId, all);
    long = await server.makeLongChat(userId, some);
  });
  beforeEach(async () => {
    user = await newUser({ storageState });
  });

  /** Open, and answering to keys and clicks: it asks for an answer that is still on its way when it does. */
  async function openLive(path: string) {
    const page = await user.newPage();
    const resumed = page.waitForResponse("**/stream?*");
    await page.goto(`${server.url}${path}`);
    await resumed;
    return page;
  }

  /** Of what is shown of the conversation, in pixels from the top of the window. */
  const topOf = (page: Page, id: string) =>
    page.evaluate<number>(`document.getElementById("${id}").getBoundingClientRect().top`);
  /** By script: a turn of the wheel is lost while a page that has just been opened is not painted yet. */
  const scrollUp = (page: Page) =>
    page.evaluate(`{
      const scroll = document.querySelector(".scroll");
      scroll.scrollTop = -scroll.scrollHeight;
    }`);
  /** Not yet at its first message, but nothing more moves. */
  const scrollHasEnded = (page: Page) =>
    page.evaluate(`new Promise((resolve) => {
      const scroll = document.querySelector(".scroll");
      let last;
      const look = () => {
        if (scroll.scrollTop === last) return resolve();
        last = scroll.scrollTop;
        requestAnimationFrame(() => requestAnimationFrame(look));
      };
      look();
    })`);

  /** Requests for older messages wait until the returned function is called. */
  async function holdOlder(page: Page) {
    let release = () => {};
    let held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let asked = 0;
    await page.route("**/messages?*", async (route) => {
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

  test("opens with its last page, and costs no more than one of a few pages", async () => {
    const sizeOf = async (path: string) => {
      const page = await open(path);
      expect(await articleIds(page)).toHaveLength(30);
      const response = await user.request.get(`${server.url}${path}`);
      return (await response.body()).byteLength;
    };
    const [most, few] = [await sizeOf(longest), await sizeOf(long)];
    expect(most).toBeLessThan(few * 1.05);
    expect(most).toBeLessThan(100_000);
    const page = await openLive(longest);
    expect(await articleIds(page)).toEqual(
      idsOfLongChat(all)
        .slice(-30)
        .map((id) => `message-${id}`),
    );
  });

  test.each([
    ["a wide window", { width: 1100, height: 800 }],
    ["a phone", phone],
  ])("shows what came before when one scrolls up, without a jump, on %s", async (_, viewport) => {
    user = await newUser({ viewport, storageState });
    const page = await openLive(long);
    const older = await holdOlder(page);
    for (let shown = 30; shown < some; ) {
      await scrollUp(page);
      await expect.poll(older.asked).toBe(Math.ceil(shown / 30));
      await scrollHasEnded(page);
      const [first = ""] = await articleIds(page);
      const top = await topOf(page, first);
      older.release();
      await expect.poll(async () => (await articleIds(page)).length).toBeGreaterThan(shown);
      await scrollHasEnded(page);
      expect(Math.abs((await topOf(page, first)) - top)).toBeLessThanOrEqual(2);
      shown = (await articleIds(page)).length;
    }
    expect(await articleIds(page)).toEqual(idsOfLongChat(some).map((id) => `message-${id}`));
    expect(await showOlder(page).count()).toBe(0);
    await scrollUp(page);
    await expect.poll(() => topOf(page, "message-question-1")).toBeGreaterThanOrEqual(0);
  });

  test("shows what came before by keyboard, and then leads to its beginning", async () => {
    const page = await openLive(long);
    // At once: on the way to it by keys one comes so near that they are loaded by themselves.
    await showOlder(page).focus();
    await scrollHasEnded(page);
    const top = await topOf(page, "message-question-86");
    await page.keyboard.press("Enter");
    await expect.poll(async () => (await articleIds(page)).length).toBe(60);
    expect(Math.abs((await topOf(page, "message-question-86")) - top)).toBeLessThanOrEqual(2);
    await page.getByRole("main").getByRole("status").filter({ hasText: "30 older messages are shown." }).waitFor();
    expect(await focused(page).innerText()).toBe("Show older messages");
    for (const count of [90, 120, 150, 180, 200]) {
      await page.keyboard.press("Enter");
      await expect.poll(async () => (await articleIds(page)).length).toBe(count);
    }
    await expect.poll(() => focused(page).getAttribute("aria-label")).toBe("Conversation");
    await page.keyboard.press("Tab");
    expect(await focused(page).getAttribute("aria-label")).toBe("Edit");
    await expect.poll(() => topOf(page, "message-question-1")).toBeGreaterThanOrEqual(0);
  });

  test("says when older messages could not be loaded, asks once, and tries again", async () => {
    const page = await openLive(long);
    let asked = 0;
    await page.route("**/messages?*", (route) => {
      asked++;
      return route.abort();
    });
    await scrollUp(page);
    const alert = page.getByRole("main").getByRole("alert");
    await alert.waitFor();
    await expectAccessible(page);
    expect(asked).toBe(1);
    await page.unroute("**/messages?*");
    await page.getByRole("button", { name: "Try again" }).click();
    await expect.poll(async () => (await articleIds(page)).length).toBe(60);
    expect(await alert.count()).toBe(0);
    complaints = complaints.filter((text) => !text.includes("ERR_FAILED"));
  });

  test("is loaded again from its end when the message was deleted before which more was wanted", async () => {
    const path = await copyOf(user, long, "answer-60");
    // What the page asks for when it opens is answered: it learns of the rest only when it asks for more.
    const page = await openLive(path);
    const id = chatIdOf(page);
    expect((await articleIds(page))[0]).toBe("message-question-46");
    expect((await request(user, "DELETE", "/messages/question-41", { id })).status()).toBe(200);
    expect((await request(user, "GET", "/messages?before=question-46", { id })).status()).toBe(409);
    await scrollUp(page);
    await expect.poll(async () => (await articleIds(page)).at(-1)).toBe("message-answer-40");
    const ids = await articleIds(page);
    expect(ids).toEqual(
      idsOfLongChat(80)
        .slice(-ids.length)
        .map((id) => `message-${id}`),
    );
    expect(complaints.splice(0)).toEqual([expect.stringContaining("409")]);
  });

  test("goes on with a window of it, and keeps all that is stored", async () => {
    const page = await openLive(await copyOf(user, long, "answer-100"));
    const id = chatIdOf(page);
    const before = await storedIds(user, id);
    expect(before).toEqual(idsOfLongChat(some));
    await send(page, "Go on");
    // What is put in front while the answer is written disturbs neither.
    await scrollUp(page);
    await expect.poll(async () => (await articleIds(page)).length).toBeGreaterThanOrEqual(62);
    await idle(page);
    // Of 41 messages that the model was given 21 are questions.
    expect(await messages(page, "assistant").last().innerText()).toContain("question 21 of our chat");
    const after = await storedIds(user, id);
    expect(after.slice(0, some)).toEqual(before);
    expect(after).toHaveLength(some + 2);
    const shown = await articleIds(page);
    expect(shown.slice(0, -2)).toEqual(before.slice(some + 2 - shown.length).map((id) => `message-${id}`));

    await page.getByRole("button", { name: "Regenerate" }).click();
    await expect.poll(() => isBusy(page)).toBe(true);
    await idle(page);
    await page.reload();
    expect((await storedIds(user, id)).slice(0, -1)).toEqual(after.slice(0, -1));
    expect(await articleIds(page)).toHaveLength(30);
    expect((await textsOf(page)).at(-2)).toBe("Go on");
  });

  test("is edited, cut and copied in what is shown of it, and what came before stays", async () => {
    const page = await openLive(await copyOf(user, long, "answer-100"));
    const id = chatIdOf(page);
    const question = page.locator("#message-question-90");
    await question.getByRole("button", { name: "Edit" }).click();
    await page.getByRole("textbox", { name: "Edit message" }).fill("Edited");
    await page.keyboard.press("Enter");
    await expect.poll(() => isBusy(page)).toBe(true);
    await idle(page);
    const edited = await storedIds(user, id);
    expect(edited.slice(0, -1)).toEqual(idsOfLongChat(179));
    const shown = await articleIds(page);
    expect(shown).toEqual(edited.slice(-shown.length).map((id) => `message-${id}`));

    await page.locator("#message-answer-87").getByRole("button", { name: "Continue in a new chat" }).click();
    await expect.poll(() => chatIdOf(page)).not.toBe(id);
    await expect.poll(async () => (await articleIds(page)).at(-1)).toBe("message-answer-87");
    expect(await articleIds(page)).toHaveLength(30);
    expect(await storedIds(user, chatIdOf(page))).toEqual(idsOfLongChat(174));

    // From the first that is shown on: what comes before takes its place.
    const [first = ""] = await articleIds(page);
    await page.locator(`#${first}`).getByRole("button", { name: "Delete from here" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await expect.poll(async () => (await articleIds(page)).at(-1)).toBe("message-answer-72");
    expect(await page.getByRole("heading", { level: 1 }).innerText()).not.toContain("What would you like to know?");
    expect(await storedIds(user, chatIdOf(page))).toEqual(idsOfLongChat(144));
  });

  test("keeps the older messages that one has loaded when another tab goes on with it", async () => {
    const path = await copyOf(user, long, "answer-100");
    const [page, other] = [await openLive(path), await openLive(path)];
    await scrollUp(page);
    await expect.poll(async () => (await articleIds(page)).length).toBe(60);
    await send(other, "From the other tab");
    await idle(other);
    await expect.poll(async () => (await articleIds(page)).length).toBe(62);
    const shown = await articleIds(page);
    expect(shown.slice(0, -2)).toEqual(
      idsOfLongChat(some)
        .slice(-60)
        .map((id) => `message-${id}`),
    );
  });

  test("a search leads to any of its messages, however far up", async () => {
    const page = await openLive(longest);
    await searchBox(page).fill("Question 7:");
    await expect.poll(() => searchStatus(page).innerText()).toContain("found");
    const link = found(page).filter({ hasText: "5,000" });
    // One request looks at so many messages at most, and the user's newer chats come first.
    while ((await link.count()) === 0) {
      const before = await found(page).count();
      await page.getByRole("button", { name: "Search on" }).click();
      await expect.poll(() => found(page).count()).toBeGreaterThan(before);
    }
    expect(await link.locator("mark").innerText()).toBe("Question 7:");
    await link.click();
    const article = page.locator("#message-question-7");
    await article.waitFor();
    await expect.poll(() => focused(page).getAttribute("id")).toBe("message-question-7");
    const [box, inside] = [await article.boundingBox(), await page.locator(".scroll").boundingBox()];
    if (!box || !inside) expect.fail("The message is not shown.");
    expect(box.y).toBeGreaterThanOrEqual(inside.y);
    expect(box.y + box.height).toBeLessThanOrEqual(inside.y + inside.height);
    const ids = await articleIds(page);
    expect(ids).toEqual(
      idsOfLongChat(all)
        .slice(-ids.length)
        .map((id) => `message-${id}`),
    );
    // A reload is not led there again.
    await expect.poll(() => pathOf(page)).toBe(longest);
  });

  describe.each(["light", "dark"] as const)("in %s", (colorScheme) => {
    test.each([
      ["a wide window", { width: 1100, height: 800 }],
      ["a phone", phone],
    ])("and the search in it have no accessibility violations on %s", async (device, viewport) => {
      user = await newUser({ viewport, colorScheme, storageState, hasTouch: viewport === phone });
      const page = await openLive(long);
      const check = async (name: string) => {
        await expectFits(page, viewport);
        await expectAccessible(page);
        await page.screenshot({ path: join(screenshots, `long-${device.slice(2)}-${colorScheme}-${name}.png`) });
      };
      const older = await holdOlder(page);
      await scrollUp(page);
      await expect.poll(older.asked).toBe(1);
      await check("loading");
      older.release();
      await expect.poll(async () => (await articleIds(page)).length).toBe(60);
      await page.unroute("**/messages?*");
      older.release();

      await showChats(page);
      await searchBox(page).fill("nowhere to be found");
      // One request looks at 5,000 messages at most.
      await expect.poll(() => searchStatus(page).innerText()).toBe("Nothing found so far.");
      await page.getByRole("button", { name: "Search on" }).click();
      await expect.poll(() => searchStatus(page).innerText()).toBe("Nothing found.");
      expect(await focused(page).getAttribute("aria-label")).toBe("Search chats");
      await check("nothing-found");
      await searchBox(page).fill("times 9");
      await expect.poll(() => searchStatus(page).innerText()).toBe("20 found so far.");
      await check("found");
      await searchBox(page).fill("Question 12:");
      await expect.poll(() => searchStatus(page).innerText()).toMatch(/^\d found so far\.$/);
      await found(page).filter({ hasText: "200 messages" }).first().click();
      await expect.poll(() => focused(page).getAttribute("id")).toBe("message-question-12");
      await check("message");
    });
  });
});

describe("the search", () => {
  test("finds what was said and what chats are called, and leads there by keyboard", async () => {
    const page = await open();
    await ask(page, "Apples, pears and quinces");
    await ask(page, "And plums?");
    const path = pathOf(page);
    await newChat(page);
    await ask(page, "Something else");

    await page.getByRole("button", { name: "New chat", exact: true }).focus();
    await page.keyboard.press("Tab");
    expect(await focused(page).getAttribute("aria-label")).toBe("Search chats");
    await page.keyboard.type("QUINCES");
    // The title, the question, and the answer that quotes it.
    await expect.poll(() => searchStatus(page).innerText()).toBe("3 found.");
    expect(await page.getByRole("search").locator("mark").allInnerTexts()).toEqual(["quinces", "quinces", "quinces"]);
    expect(await chatLinks(page).count()).toBe(0);
    expect(await found(page).last().innerText()).toContain("Apples, pears and quinces");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await expect.poll(() => pathOf(page)).toBe(path);
    await expect.poll(() => focused(page).getAttribute("aria-label")).toBe("user");
    expect(await focused(page).innerText()).toContain("Apples, pears and quinces");
    await answered(page, 4);

    // The same find leads to the same message again.
    await messageBox(page).focus();
    await found(page).last().press("Enter");
    await expect.poll(() => focused(page).getAttribute("aria-label")).toBe("user");

    // From anywhere in the search.
    await found(page).first().press("Escape");
    expect(await searchBox(page).inputValue()).toBe("");
    expect(await focused(page).getAttribute("aria-label")).toBe("Search chats");
    expect(await found(page).count()).toBe(0);
    await expect.poll(() => chatLinks(page).count()).toBe(2);
    expect(await searchStatus(page).innerText()).toBe("");
  });

  test("goes on where it has stopped, and says when there is nothing more", async () => {
    const page = await open();
    for (let number = 1; number <= 12; number++) {
      const message = { id: "1", role: "user", parts: [{ type: "text", text: `Pears ${number}` }] };
      await user.request.post(`${server.url}/api/chat`, { data: { id: `pears-${crypto.randomUUID()}`, message } });
    }
    await page.reload();
    await searchBox(page).fill("pears");
    await searchBox(page).press("End");
    const texts = () => found(page).allInnerTexts();
    await expect.poll(async () => (await texts()).length).toBe(20);
    const searchOn = page.getByRole("button", { name: "Search on" });
    await searchOn.focus();
    while (await searchOn.count()) {
      const before = await found(page).count();
      await searchOn.press("Enter");
      await expect.poll(async () => (await found(page).count()) > before || (await searchOn.count()) === 0).toBe(true);
    }
    // The title, the question and the answer of each.
    await expect.poll(() => searchStatus(page).innerText()).toBe("36 found.");
    const links = await found(page).evaluateAll((links) => links.map((link) => link.getAttribute("href")));
    expect(new Set(links).size).toBe(36);
    expect(["A", "INPUT"]).toContain(await focused(page).evaluate(({ tagName }) => tagName));

    await searchBox(page).fill("nowhere");
    await expect.poll(() => searchStatus(page).innerText()).toBe("Nothing found.");
    expect(await found(page).count()).toBe(0);
  });

  test("says when it did not work", async () => {
    const page = await open();
    await page.route("**/api/search?*", (route) => route.abort());
    await searchBox(page).fill("pears");
    await page.getByRole("search").getByRole("alert").waitFor();
    await expectAccessible(page);
    complaints = complaints.filter((text) => !text.includes("ERR_FAILED"));
  });

  test("of a message that is gone by then says so", async () => {
    const page = await open();
    await ask(page, "Apples");
    await ask(page, "Quinces");
    await searchBox(page).fill("quinces");
    await expect.poll(() => found(page).count()).toBe(2);
    await messages(page, "user").last().getByRole("button", { name: "Delete from here" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await answered(page, 2);
    await found(page).first().click();
    await page.getByRole("main").getByRole("alert").filter({ hasText: "not there any more" }).waitFor();
  });

  test("shows nothing of other users", async () => {
    const page = await open();
    await ask(page, "My secret is 4711");
    const stranger = await newUser();
    const other = await open("/", stranger);
    await ask(other, "Nothing of mine");
    await searchBox(other).fill("4711");
    await expect.poll(() => searchStatus(other).innerText()).toBe("Nothing found.");
    const response = await stranger.request.get(`${server.url}/api/search?query=4711`);
    expect(await response.json()).toEqual({ matches: [], before: null });
    // Nor does going on from where another user's search has stopped.
    for (let number = 1; number <= 10; number++) {
      const message = { id: "1", role: "user", parts: [{ type: "text", text: `4711 ${number}` }] };
      await user.request.post(`${server.url}/api/chat`, { data: { id: `secret-${crypto.randomUUID()}`, message } });
    }
    const own = await (await user.request.get(`${server.url}/api/search?query=4711`)).json();
    expect(own.before).toEqual(expect.any(String));
    const theirs = await stranger.request.get(`${server.url}/api/search?query=4711&before=${own.before}`);
    expect(await theirs.json()).toEqual({ matches: [], before: null });
  });
});

describe.each(["light", "dark"] as const)("in %s", (colorScheme) => {
  test.each([
    ["a desktop", desktop],
    ["a phone", phone],
  ])("on %s it fits, and has no accessibility violations", async (device, viewport) => {
    const context = await newUser({ viewport, colorScheme, hasTouch: viewport === phone });
    const page = await open("/", context);
    const check = async (name: string) => {
      await expectFits(page, viewport);
      await expectAccessible(page);
      await page.screenshot({ path: join(screenshots, `${device.slice(2)}-${colorScheme}-${name}.png`) });
    };
    await check("new");
    for (const question of ["How do I query my chats in SQL?", "M".repeat(200)]) {
      await ask(page, question);
      await newChat(page);
    }
    await ask(page, "Why is it called PostgreSQL?");
    await send(page, "And the elephant?");
    await firstWords(page);
    await check("streaming");
    await answered(page, 4);
    await check("answered");
    await messages(page, "user").first().getByRole("button", { name: "Edit" }).click();
    await check("editing");
    await page.keyboard.press("Escape");
    await messages(page, "user").last().getByRole("button", { name: "Delete from here" }).click();
    await check("deleting-messages");
    await page.keyboard.press("Escape");

    await showChats(page);
    await check("list");
    await more(page, "How do I query my chats in SQL?").click();
    await check("menu");
    await page.getByRole("button", { name: "Rename", exact: true }).click();
    await check("renaming");
    await page.keyboard.press("Escape");
    await choose(page, "How do I query my chats in SQL?", "Delete");
    await check("deleting");
    await page.keyboard.press("Escape");
    // All of this happens in the list, which stays open.
    await choose(page, "How do I query my chats in SQL?", "Archive");
    await page.locator("summary").click();
    await check("archived");
    for (const [name, title] of [
      ["long", "MMM"],
      ["code", "How do I"],
    ] as const) {
      await showChats(page);
      await page.getByRole("link", { name: title }).click();
      await expect.poll(async () => (await textsOf(page))[0]).toContain(title);
      await check(name);
    }
  });
});

describe("a keyboard is enough", () => {
  test("to reach everything", async () => {
    const page = await open();
    await ask(page, "Tea");
    await page.reload();
    await messageBox(page).waitFor();
    const reached: string[] = [];
    for (let presses = 0; presses < 10; presses++) {
      await page.keyboard.press("Tab");
      reached.push((await focused(page).getAttribute("aria-label")) ?? (await focused(page).innerText()));
    }
    expect(reached).toEqual([
      "New chat",
      "Search chats",
      "Tea",
      "More: Tea",
      "Edit",
      "Delete from here",
      "Continue in a new chat",
      "Regenerate",
      "Message",
      "Send",
    ]);
  });

  test("to rename, archive and delete a chat, and to copy and cut a conversation", async () => {
    const page = await open();
    await ask(page, "Tea");
    const press = async (...keys: string[]) => {
      for (const key of keys) await page.keyboard.press(key);
    };
    await more(page, "Tea").focus();
    await press("Enter", "Tab", "Enter");
    expect(await focused(page).getAttribute("aria-label")).toBe("Title");
    await page.keyboard.type("Coffee");
    await press("Enter");
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Coffee"]);

    await press("Enter", "Tab", "Tab", "Enter");
    await expect.poll(() => chatLinks(page).count()).toBe(0);
    await expect.poll(() => focused(page).getAttribute("aria-label")).toBe("Chats");
    // The archive is open, because the chat is the one that is shown.
    await press("Tab", "Tab", "Tab", "Tab", "Enter", "Tab", "Tab", "Enter");
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Coffee"]);

    await messages(page, "user").getByRole("button", { name: "Edit" }).focus();
    const path = pathOf(page);
    await press("Tab", "Tab", "Enter");
    await expect.poll(() => pathOf(page)).not.toBe(path);
    await answered(page, 2);
    await expect.poll(() => chatLinks(page).count()).toBe(2);

    await messages(page, "user").getByRole("button", { name: "Edit" }).focus();
    await press("Tab", "Enter", "Tab", "Enter");
    await expect.poll(() => messages(page).count()).toBe(0);
    await expect.poll(() => focused(page).getAttribute("aria-label")).toBe("Message");

    await more(page, "Coffee").first().focus();
    await press("Enter", "Tab", "Tab", "Tab", "Enter");
    expect(await focused(page).innerText()).toBe("Cancel");
    await press("Tab", "Enter");
    await expect.poll(() => chatLinks(page).count()).toBe(1);
  });
});

describe("the README's pictures can be taken again:", () => {
  const folder = process.env.UPDATE_SCREENSHOTS ? app.folder : screenshots;
  test.each([
    ["a wide window", { width: 1100, height: 700 }, "screenshot"],
    ["a phone", phone, "screenshot-phone"],
  ])("%s", async (_, viewport, name) => {
    const page = await open("/", await newUser({ viewport, hasTouch: viewport === phone }));
    const picture = async (name: string) => {
      const { byteLength } = await page.screenshot({ path: join(folder, `${name}.png`) });
      expect(byteLength).toBeLessThan(200_000);
    };
    for (const question of [
      "A packing list for two days in Lisbon",
      "Name three rivers",
      "How do I query my chats in SQL?",
    ]) {
      await ask(page, question);
      await newChat(page);
    }
    await ask(page, "Why is it called PostgreSQL?");
    await ask(page, "And the elephant?");
    if (viewport === phone) await picture(name);
    await showChats(page);
    await choose(page, "A packing list for two days in Lisbon", "Archive");
    await page.locator("summary").click();
    await more(page, "How do I query my chats in SQL?").click();
    await picture(viewport === phone ? `${name}-chats` : name);
  });
});

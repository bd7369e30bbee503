import { describe, expect } from "vitest";
import {
  answered,
  ask,
  askAndHold,
  chatLinks,
  messages,
  open,
  pathOf,
  regenerateAndHold,
  showsFirstWords,
  test,
  user,
} from "../support/browser.ts";

describe("an answer whose page is gone", () => {
  const question = "What if I leave?";
  let whole: string[];
  test.beforeEach(async ({ user: _ }) => {
    whole = await ask(await open(), question);
  });

  test("an answer goes on after the user has closed the window", async () => {
    const page = await open();
    const held = await askAndHold(page, question);
    const path = pathOf(page);
    await page.close();
    held.finish();
    expect(await answered(await open(path), 2)).toEqual(whole);
  });

  test("a page that was reloaded shows the answer being written", async () => {
    const page = await open();
    const held = await askAndHold(page, question);
    await page.reload();
    const said = await showsFirstWords(page);
    expect(said.length).toBeLessThan(whole[1]?.length ?? 0);
    held.finish();
    expect(await answered(page, 2)).toEqual(whole);
    expect(await ask(page, "And now?")).toHaveLength(4);
  });

  test("a second tab shows the answer being written, too", async () => {
    const page = await open();
    const held = await askAndHold(page, question);
    const other = await open(pathOf(page));
    const said = await showsFirstWords(other);
    expect(said.length).toBeLessThan(whole[1]?.length ?? 0);
    held.finish();
    expect(await answered(other, 2)).toEqual(whole);
    expect(await answered(page, 2)).toEqual(whole);
  });

  test("a page shows the whole answer that has ended between the page and its script", async () => {
    const page = await open();
    const held = await askAndHold(page, question);
    const slow = await user.newPage();
    let release = () => {};
    const ended = new Promise<void>((resolve) => {
      release = resolve;
    });
    let isAsked = false;
    await slow.route("**/api/chat/*/stream*", async (route) => {
      isAsked = true;
      await ended;
      await route.continue();
    });
    await slow.goto(page.url());
    await expect.poll(() => isAsked).toBe(true);
    expect(await messages(slow, "assistant").count()).toBe(0);
    held.finish();
    await answered(page, 2);
    release();
    expect(await answered(slow, 2)).toEqual(whole);
  });

  test("an answer goes on while the user looks at another chat", async () => {
    const page = await open();
    const held = await askAndHold(page, question);
    const path = pathOf(page);
    const shownPath = () => page.locator("[aria-current=page]").getAttribute("href");
    await expect.poll(() => chatLinks(page).count()).toBe(2);
    await chatLinks(page).last().click();
    await expect.poll(shownPath).not.toBe(path);
    expect(await answered(page, 2)).toEqual(whole);
    await page.goBack();
    await expect.poll(shownPath).toBe(path);
    await showsFirstWords(page);
    held.finish();
    expect(await answered(page, 2)).toEqual(whole);
    await page.reload();
    expect(await answered(page, 2)).toEqual(whole);
  });

  test("an answer that has ended while the user looked at another chat is there when they come back", async () => {
    const page = await open();
    const held = await askAndHold(page, question);
    const path = pathOf(page);
    await expect.poll(() => chatLinks(page).count()).toBe(2);
    await chatLinks(page).last().click();
    const shownPath = () => page.locator("[aria-current=page]").getAttribute("href");
    await expect.poll(shownPath).not.toBe(path);
    held.finish();
    expect(await answered(await open(path), 2)).toEqual(whole);
    await page.goBack();
    await expect.poll(shownPath).toBe(path);
    expect(await answered(page, 2)).toEqual(whole);
  });
});

describe("stop", () => {
  test.each(["the tab that asked", "another tab"])(
    "a stop from %s ends the answer on the server, and the words so far stay",
    async (from) => {
      const page = await open();
      const whole = await ask(page, "What was that?");
      const held = await regenerateAndHold(page, "What was that?");
      const stopping = from === "another tab" ? await open(pathOf(page)) : page;
      const said = await showsFirstWords(stopping);
      await stopping.getByRole("button", { name: "Stop" }).click();
      await held.aborted;
      const texts = await answered(page, 2);
      expect(texts[1]).toBe(said);
      expect(whole[1]?.startsWith(said)).toBe(true);
      expect(said.length).toBeLessThan(whole[1]?.length ?? 0);
      expect(await answered(stopping, 2)).toEqual(texts);
      await page.reload();
      expect(await answered(page, 2)).toEqual(texts);
      expect(await ask(page, "Go on")).toHaveLength(4);
    },
  );
});

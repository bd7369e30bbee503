import type { Page } from "playwright-core";
import { describe, expect } from "vitest";
import {
  answered,
  ask,
  askAndHold,
  chatOf,
  confirmDelete,
  editor,
  expectAccessible,
  expectFits,
  focused,
  interactive,
  messages,
  newUser,
  open,
  phone,
  regenerateAndHold,
  screenshots,
  server,
  test,
  textsOf,
  user,
} from "../support/browser.ts";

const picker = (page: Page, index: number) => messages(page).nth(index).getByRole("group", { name: "Versions" });
const previous = (page: Page, index: number) => picker(page, index).getByRole("button", { name: "Previous version" });
const next = (page: Page, index: number) => picker(page, index).getByRole("button", { name: "Next version" });
const position = (page: Page, index: number) => expect.poll(() => picker(page, index).allInnerTexts());

/** Generates the last answer again, with a word of its own in it. */
async function regenerate(page: Page, question: string, word: string) {
  const held = await regenerateAndHold(page, question);
  held.say(`${word} `);
  held.finish();
  return answered(page, await messages(page).count());
}

async function edit(page: Page, index: number, text: string) {
  await messages(page).nth(index).getByRole("button", { name: "Edit" }).click();
  await editor(page).fill(text);
  await page.getByRole("button", { name: "Ask again" }).click();
  return answered(page, index + 2);
}

const shows = (page: Page, texts: string[]) => expect.poll(() => textsOf(page)).toEqual(texts);

/** How far things have moved by themselves, not in answer to what the user did. */
const watchShifts = (page: Page) =>
  page.addInitScript(`
    window.shifts = [];
    new PerformanceObserver((list) => {
      for (const { value, hadRecentInput } of list.getEntries()) if (!hadRecentInput) window.shifts.push(value);
    }).observe({ type: "layout-shift", buffered: true });
  `);
const shifts = (page: Page) => page.evaluate<number[]>("window.shifts");

describe("versions of messages", () => {
  test("an answer that was generated again leads to the earlier ones, also after a reload", async () => {
    const page = await open();
    const first = await ask(page, "Again, please");
    expect(await page.getByRole("group", { name: "Versions" }).count()).toBe(0);
    const second = await regenerate(page, "Again, please", "apple");
    await position(page, 1).toEqual(["2/2"]);
    const third = await regenerate(page, "Again, please", "pear");
    await position(page, 1).toEqual(["3/3"]);
    expect(await next(page, 1).isDisabled()).toBe(true);

    await previous(page, 1).click();
    await shows(page, second);
    await position(page, 1).toEqual(["2/3"]);
    await previous(page, 1).click();
    await shows(page, first);
    expect(await previous(page, 1).isDisabled()).toBe(true);
    await page.reload();
    expect(await answered(page, 2)).toEqual(first);
    await position(page, 1).toEqual(["1/3"]);
    await interactive(page);
    await next(page, 1).click();
    await shows(page, second);
    await next(page, 1).click();
    await shows(page, third);
    await expectAccessible(page);
  });

  test("an edited question leads to the old one, with all that followed it, and a second tab follows", async () => {
    const page = await open();
    await ask(page, "Firts");
    const before = await ask(page, "Second");
    const after = await edit(page, 0, "First");
    await position(page, 0).toEqual(["2/2"]);
    const other = await open(new URL(page.url()).search.replace(/^/, "/"));
    await position(other, 0).toEqual(["2/2"]);
    await previous(page, 0).click();
    await shows(page, before);
    await shows(other, before);
    await position(other, 0).toEqual(["1/2"]);
    await interactive(other);
    await next(other, 0).click();
    await shows(page, after);
    await shows(other, after);
    await expectAccessible(page);
  });

  test("the keyboard goes back and forth, and keeps its place at the ends", async () => {
    const page = await open();
    const first = await ask(page, "Again, please");
    const second = await regenerate(page, "Again, please", "apple");
    await position(page, 1).toEqual(["2/2"]);
    await previous(page, 1).focus();
    await page.keyboard.press("Enter");
    await shows(page, first);
    await position(page, 1).toEqual(["1/2"]);
    expect(await focused(page)).toBe("Previous version");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Tab");
    expect(await focused(page)).toBe("Next version");
    await page.keyboard.press("Space");
    await shows(page, second);
    expect(await focused(page)).toBe("Next version");
  });

  test("no version can be chosen while an answer arrives", async () => {
    const page = await open();
    await ask(page, "Firts");
    await edit(page, 0, "First");
    await position(page, 0).toEqual(["2/2"]);
    const held = await askAndHold(page, "Second");
    expect(await previous(page, 0).isDisabled()).toBe(true);
    await previous(page, 0).click({ force: true });
    held.finish();
    const texts = await answered(page, 4);
    expect(texts[0]).toBe("First");
    await expect.poll(() => previous(page, 0).isEnabled()).toBe(true);
  });

  test("the buttons stay in place, and nothing moves by itself", async () => {
    const page = await user.newPage();
    await watchShifts(page);
    await page.goto(server.url + (await chatOf(user, ["1", "2", "3", "4", "5", "6", "7", "Firts", "Second", "Third"])));
    await interactive(page);
    await edit(page, 14, "First");
    await position(page, 14).toEqual(["2/2"]);
    await regenerate(page, "First", "apple ".repeat(200));
    await position(page, 15).toEqual(["2/2"]);
    await page.evaluate("window.shifts.length = 0");
    for (const [index, button] of [
      [15, previous],
      [15, next],
      [15, previous],
      [14, previous],
      [14, next],
    ] as const) {
      const before = await picker(page, index).boundingBox();
      await button(page, index).click();
      await position(page, index).toEqual([button === previous ? "1/2" : "2/2"]);
      const after = await picker(page, index).boundingBox();
      expect(Math.abs(Number(after?.y) - Number(before?.y))).toBeLessThan(1);
    }
    expect(await shifts(page)).toEqual([]);
    await page.reload();
    await interactive(page);
    await position(page, 14).toEqual(["2/2"]);
    expect(await shifts(page)).toEqual([]);
  });

  test("a copy is made of the version that is shown", async () => {
    const page = await open();
    const first = await ask(page, "Again, please");
    const second = await regenerate(page, "Again, please", "apple");
    await position(page, 1).toEqual(["2/2"]);
    const { href } = new URL(page.url());
    const copied = async (texts: string[]) => {
      await page.getByRole("button", { name: "Continue in a new chat" }).click();
      await expect.poll(() => page.url()).not.toBe(href);
      expect(await answered(page, 2)).toEqual(texts);
      expect(await page.getByRole("group", { name: "Versions" }).count()).toBe(0);
    };
    await copied(second);
    await page.goBack();
    await position(page, 1).toEqual(["2/2"]);
    await previous(page, 1).click();
    await shows(page, first);
    await copied(first);
  });

  test("deleting a version leads to the others with the next question", async () => {
    const page = await open();
    const before = await ask(page, "Firts");
    await edit(page, 0, "First");
    await position(page, 0).toEqual(["2/2"]);
    await messages(page).first().getByRole("button", { name: "Delete from here" }).click();
    await page.getByText("Its other versions come back with your next message.").waitFor();
    await confirmDelete(page);
    await expect.poll(() => messages(page).count()).toBe(0);
    await ask(page, "Third");
    await position(page, 0).toEqual(["2/2"]);
    await previous(page, 0).click();
    await shows(page, before);
  });

  test.for([
    ["desktop", "light", {}],
    ["desktop", "dark", { colorScheme: "dark" }],
    ["phone", "light", { viewport: phone, hasTouch: true, isMobile: true }],
  ] as const)("they fit on a %s in a %s page", async ([device, scheme, options]) => {
    const page = await open("/", await newUser(options));
    await ask(page, "Could you tell me at some length what the weather will be like in Stockholm tomorrow?");
    await edit(page, 0, "Will it rain in Stockholm tomorrow, and if so, from when on, and for how long?");
    await position(page, 0).toEqual(["2/2"]);
    await regenerate(page, "Will it rain in Stockholm tomorrow, and if so, from when on, and for how long?", "apple");
    await position(page, 1).toEqual(["2/2"]);
    await expectAccessible(page);
    if (device === "phone") await expectFits(page, phone);
    await page.screenshot({ path: `${screenshots}/versions-${device}-${scheme}.png` });
  });
});

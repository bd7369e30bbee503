import type { Page } from "playwright-core";
import { describe, expect } from "vitest";
import {
  answered,
  askAndHold,
  becomeUser,
  chatOf,
  expectAccessible,
  interactive,
  messages,
  open,
  phone,
  test,
  textsOf,
} from "../support/browser.ts";
import { above, below, isShown, scrollHasEnded, wheelUntil } from "../support/scrolling.ts";

describe.each([
  ["a wide window", { width: 1100, height: 800 }],
  ["a phone", phone],
])("a conversation of several screens on %s", (_, viewport) => {
  let page: Page;
  test.beforeEach(async ({ user: _ }) => {
    const user = await becomeUser({ viewport });
    const questions = [1, 2, 3, 4].map((number) => `Question ${number}\n${"a line\n".repeat(20)}`);
    page = await open(await chatOf(user, questions));
    await interactive(page);
    await expect.poll(() => above(page)).toBeGreaterThan(2 * viewport.height);
  });

  /** The buttons of the last message can be used: they are within the scroll area, and nothing lies over them. */
  const expectAtEnd = async () => {
    await expect.poll(() => below(page)).toBeLessThanOrEqual(1);
    await scrollHasEnded(page);
    const button = page.getByRole("button", { name: "Regenerate" });
    await button.click({ trial: true });
    const [inside, box] = [await page.locator("main .scroll").boundingBox(), await button.boundingBox()];
    if (!inside || !box) expect.fail("The button is not shown.");
    expect(box.y).toBeGreaterThanOrEqual(inside.y);
    expect(box.y + box.height).toBeLessThanOrEqual(inside.y + inside.height);
  };

  test("the reader reaches its beginning and its end by wheel and by keyboard, and the end by a reload", async () => {
    await expectAtEnd();
    await wheelUntil(page, -100_000, async () => (await above(page)) <= 1);
    expect(await isShown(page, "Question 1")).toBe(true);
    await wheelUntil(page, 100_000, async () => (await below(page)) <= 1);
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
    const lines = "\n\nmore".repeat(10);
    const isSaid = () => expect.poll(async () => (await textsOf(page)).at(-1)?.match(/more/g)?.length).toBe(10);
    const held = await askAndHold(page, "Question 5");
    await expect.poll(() => below(page)).toBeLessThanOrEqual(1);
    held.say(lines);
    await isSaid();
    await expect.poll(() => below(page)).toBeLessThanOrEqual(1);
    held.finish();
    await answered(page, 10);
    await expectAtEnd();

    const other = await askAndHold(page, "Question 6");
    await wheelUntil(page, -2_000, async () => (await below(page)) > 500);
    const seen = await above(page);
    other.say(lines);
    await isSaid();
    await scrollHasEnded(page);
    // Both are rounded.
    expect(Math.abs((await above(page)) - seen)).toBeLessThanOrEqual(1);
    other.finish();
    await answered(page, 12);
    await scrollHasEnded(page);
    expect(Math.abs((await above(page)) - seen)).toBeLessThanOrEqual(1);
  });

  test("a question is shown when it is asked while the reader has scrolled up", async () => {
    await wheelUntil(page, -1_500, async () => (await below(page)) > 1_000);
    expect(await isShown(page, "Question 4")).toBe(false);
    const held = await askAndHold(page, "Where does it go?");
    await expect.poll(() => isShown(page, "Where does it go?")).toBe(true);
    await expect.poll(() => below(page)).toBeLessThanOrEqual(1);
    held.finish();
    await answered(page, 10);
    await expectAtEnd();
  });

  test("a button leads a reader who has scrolled up to the latest message, and is there only then", async () => {
    const jump = page.getByRole("button", { name: "Jump to the latest" });
    expect(await jump.count()).toBe(0);
    await wheelUntil(page, -1_500, async () => (await below(page)) > 1_000);
    await jump.waitFor();
    await expectAccessible(page);
    await jump.click();
    await expectAtEnd();
    await expect.poll(() => jump.count()).toBe(0);
  });
});

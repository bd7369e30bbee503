import { join } from "node:path";
import type { Page } from "playwright-core";
import { describe, expect } from "vitest";
import {
  answered,
  archive,
  archivedLinks,
  articleIds,
  askAndHold,
  becomeUser,
  chatOf,
  choose,
  desktop,
  editor,
  expectAccessible,
  expectFits,
  focused,
  focusedId,
  type LongChats,
  log,
  menu,
  messages,
  model,
  more,
  open,
  phone,
  screenshots,
  send,
  showChats,
  showsFirstWords,
  test,
  textsOf,
  user,
} from "../support/browser.ts";
import { holdOlder, olderMessages, openLive } from "../support/long-chats.ts";
import { isLong } from "../support/long-run.ts";
import { scrollUp } from "../support/scrolling.ts";
import { found, searchBox, searchOn, searchStatus } from "../support/search-box.ts";

type Size = typeof desktop;

/** Checks a state, and takes its picture. */
const checkOf = (page: Page, viewport: Size, folder: string) => async (state: string) => {
  await expectFits(page, viewport);
  await expectAccessible(page);
  await page.screenshot({ path: join(screenshots, `${folder}-${state}.png`) });
};

describe.each(["light", "dark"] as const)("in %s", (colorScheme) => {
  const isChecked = colorScheme === "light" || isLong;

  test.runIf(isChecked).each([
    ["a desktop", desktop],
    ["a phone", phone],
  ])(`the page fits on %s in ${colorScheme}, and has no accessibility violations`, async (device, viewport) => {
    await becomeUser({ viewport, colorScheme, hasTouch: viewport === phone });
    const page = await open();
    const check = checkOf(page, viewport, `${device.slice(2)}-${colorScheme}`);
    await check("new");
    const code = "How do I query my chats in SQL?";
    const withCode = model.hold(code);
    await send(page, code);
    await withCode.begun;
    await showsFirstWords(page);
    withCode.say(
      `\n\n\`\`\`sql\nselect id, title, updated_at from chat_store.chats where user_id = 'ada' limit 10;\n\`\`\`\n\n`,
    );
    withCode.finish();
    await answered(page, 2);
    await chatOf(user, ["M".repeat(200)]);
    await page.goto(new URL(await chatOf(user, ["Why is it called PostgreSQL?"]), page.url()).href);
    const held = await askAndHold(page, "And the elephant?");
    await check("streaming");
    held.finish();
    await answered(page, 4);
    await check("answered");
    await messages(page, "user").first().getByRole("button", { name: "Edit" }).click();
    await editor(page).waitFor();
    await check("editing");
    await page.keyboard.press("Escape");
    await expect.poll(() => editor(page).count()).toBe(0);
    await messages(page, "user").last().getByRole("button", { name: "Delete from here" }).click();
    await page.getByRole("dialog").waitFor();
    await check("deleting-messages");
    await page.keyboard.press("Escape");
    await expect.poll(() => page.getByRole("dialog").count()).toBe(0);

    await showChats(page);
    await check("list");
    await more(page, code).click();
    await menu(page).waitFor();
    await check("menu");
    await page.getByRole("button", { name: "Rename", exact: true }).click();
    await expect.poll(() => focused(page)).toBe("Title");
    await check("renaming");
    await page.keyboard.press("Escape");
    await expect.poll(() => focused(page)).toBe(`More: ${code}`);
    await choose(page, code, "Delete");
    await page.getByRole("dialog").waitFor();
    await check("deleting");
    await page.keyboard.press("Escape");
    await expect.poll(() => page.getByRole("dialog").count()).toBe(0);
    // All of this happens in the list, which stays open.
    await choose(page, code, "Archive");
    await archive(page).click();
    await expect.poll(() => archivedLinks(page).isVisible()).toBe(true);
    await check("archived");
    for (const [name, title] of [
      ["long", "MMM"],
      ["code", "How do I"],
    ] as const) {
      await showChats(page);
      await page.getByRole("link", { name: title }).click();
      await expect.poll(async () => (await textsOf(page))[0]).toContain(title);
      if (name === "code") await log(page).locator("pre code").waitFor();
      await check(name);
    }
  });
});

describe("a long chat and the search in it", () => {
  let chats: LongChats;
  test.beforeAll(({ longChats }) => {
    chats = longChats;
  });

  describe.each(["light", "dark"] as const)("in %s", (colorScheme) => {
    test.runIf(colorScheme === "light" || isLong).each([
      ["a wide window", { width: 1100, height: 800 }],
      ["a phone", phone],
    ])(
      `a long chat and the search in it have no accessibility violations on %s in ${colorScheme}`,
      async (device, viewport) => {
        const { storageState, long } = chats;
        await becomeUser({ viewport, colorScheme, storageState, hasTouch: viewport === phone });
        const page = await openLive(long);
        const check = checkOf(page, viewport, `long-${device.slice(2)}-${colorScheme}`);
        const older = await holdOlder(page);
        await scrollUp(page);
        await expect.poll(older.asked).toBe(1);
        await check("loading");
        older.release();
        await expect.poll(async () => (await articleIds(page)).length).toBe(60);
        await page.unroute(olderMessages);
        older.release();

        await showChats(page);
        await searchBox(page).fill("nowhere to be found");
        // One request looks at 5,000 messages at most.
        await expect.poll(() => searchStatus(page)).toBe("Nothing found so far.");
        await searchOn(page).click();
        await expect.poll(() => searchStatus(page)).toBe("Nothing found.");
        await expect.poll(() => focused(page)).toBe("Search chats");
        await check("nothing-found");
        await searchBox(page).fill("times 9");
        await expect.poll(() => searchStatus(page)).toBe("30 found so far.");
        await check("found");
        await searchBox(page).fill("Question 12:");
        await expect.poll(() => searchStatus(page)).toMatch(/^\d found so far\.$/);
        await found(page).filter({ hasText: "200 messages" }).first().click();
        await expect.poll(() => focusedId(page)).toBe("message-question-12");
        await check("message");
      },
    );
  });
});

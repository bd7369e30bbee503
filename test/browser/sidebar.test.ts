import { describe, expect } from "vitest";
import { boxOf, styleOf } from "../support/boxes.ts";
import {
  archive,
  archivedLinks,
  becomeUser,
  chatLinks,
  chatOf,
  choose,
  expectAccessible,
  interactive,
  type ManyChats,
  more,
  open,
  request,
  sidebar,
  test,
  toast,
  user,
} from "../support/browser.ts";
import { searchBox } from "../support/search-box.ts";

/** Where it is about noon now: the chats of today were stored some minutes ago, and stay of today for hours. */
function zoneAtNoon() {
  const ahead = 12 - new Date().getUTCHours();
  // The signs of these names are the other way round.
  return ahead >= 0 ? `Etc/GMT-${ahead}` : `Etc/GMT+${-ahead}`;
}

describe("a list of many chats", () => {
  let chats: ManyChats;
  test.beforeEach(async ({ user: _, manyChats }) => {
    chats = manyChats;
    await becomeUser({ storageState: chats.storageState, timezoneId: zoneAtNoon() });
  });

  test("the list is by day, newest first, and a page at a time", async () => {
    const page = await open(chats.call);
    await interactive(page);
    const days = sidebar(page).locator("section");
    await expect
      .poll(() => days.getByRole("heading").allInnerTexts())
      .toEqual(["Today", "Yesterday", "Previous 7 days", "Previous 30 days", "Older"]);
    expect(await days.nth(1).getByRole("link").allInnerTexts()).toEqual(["1 days ago"]);
    expect(await days.nth(2).getByRole("link").allInnerTexts()).toEqual(["5 days ago"]);
    expect(await chatLinks(page).count()).toBe(30);
    await expectAccessible(page);
    await chatLinks(page).last().scrollIntoViewIfNeeded();
    await expect.poll(() => chatLinks(page).count()).toBe(41);
    const titles = await chatLinks(page).allInnerTexts();
    expect(new Set(titles).size).toBe(41);
    expect(titles.at(-1)).toBe("75 days ago");
    await expect.poll(() => page.getByRole("button", { name: "More chats" }).count()).toBe(0);
  });

  test("the search stays in view at the end of a long list, and the archive opens into view", async () => {
    const page = await open(chats.call);
    await interactive(page);
    await choose(page, "20 days ago", "Archive");
    await archive(page).waitFor();
    await archive(page).scrollIntoViewIfNeeded();
    await expect.poll(() => chatLinks(page).count()).toBe(40);
    await archive(page).scrollIntoViewIfNeeded();
    const { y, bottom } = await boxOf(searchBox(page));
    expect(y).toBeGreaterThanOrEqual(0);
    expect(bottom).toBeLessThanOrEqual(800);
    await archive(page).click();
    const list = await boxOf(sidebar(page));
    await expect.poll(async () => (await boxOf(archivedLinks(page))).bottom).toBeLessThanOrEqual(list.bottom);
    await choose(page, "20 days ago", "Unarchive");
    await expect.poll(() => archive(page).count()).toBe(0);
  });
});

describe("a toast", () => {
  test("a toast says that a chat is archived, and takes it back", async () => {
    const page = await open(await chatOf(user, ["Apples"]));
    await interactive(page);
    await choose(page, "Apples", "Archive");
    await toast(page, "Chat archived").waitFor();
    await expect.poll(() => chatLinks(page).count()).toBe(0);
    await toast(page, "Chat archived").getByRole("button", { name: "Undo" }).click();
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Apples"]);
    await expect.poll(() => archive(page).count()).toBe(0);
    expect(await page.locator("[aria-live]:has([data-sonner-toast])").first().getAttribute("aria-live")).toBe("polite");
  });
});

describe("titles", () => {
  test("a title has the whole width of the list, and a tab shows no more of it than it can", async () => {
    const title = "A title of so many words that it cannot be shown in a list of chats ".repeat(14).trim();
    const path = await chatOf(user, ["Apples"]);
    const id = path.split("=")[1] ?? null;
    expect((await request(user, "PATCH", "", { id, data: { title } })).status()).toBe(200);
    const page = await open(path);
    expect((await page.title()).length).toBeLessThan(100);
    await page.goto(page.url().replace(/=.*/, "=another"));
    const [link, row] = [chatLinks(page).first(), sidebar(page).locator("section li").first()];
    expect((await boxOf(row)).right - (await boxOf(link)).right).toBeLessThanOrEqual(16);
    // The button has its place when it shows.
    await row.hover();
    expect((await boxOf(more(page, title))).x).toBeGreaterThanOrEqual((await boxOf(link)).right);
  });

  test("the button for a new chat and the search box are of one kind", async () => {
    const page = await open();
    const button = page.getByRole("button", { name: "New chat" }).filter({ visible: true });
    const [one, other] = [await boxOf(button), await boxOf(searchBox(page))];
    expect([other.x, other.right, other.height]).toEqual([one.x, one.right, one.height]);
    expect(await styleOf(searchBox(page), "border-radius")).toBe(await styleOf(button, "border-radius"));
  });
});

test("an excerpt of the search has no marks of Markdown, and dots where it is cut", async () => {
  const words =
    "**Apples** grow in `orchards`, and so do pears, plums and many other kinds of fruit, all over the world, and";
  const page = await open(await chatOf(user, [`${words} quinces ${words}`]));
  await searchBox(page).fill("quinces");
  const found = page.getByRole("search").getByRole("link", { name: "quinces" });
  await expect.poll(() => found.count()).toBeGreaterThan(1);
  for (const text of await found.locator("span").allInnerTexts()) {
    expect(text).not.toMatch(/[*`]/);
    expect(text).toContain("…");
  }
});

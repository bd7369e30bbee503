import { describe, expect } from "vitest";
import {
  allowComplaint,
  answered,
  articleIds,
  becomeUser,
  chatLinks,
  chatOf,
  chatsOf,
  confirmDelete,
  expectAccessible,
  focused,
  focusedId,
  focusedText,
  messageBox,
  messages,
  newUser,
  open,
  pathOf,
  server,
  test,
  toast,
  user,
} from "../support/browser.ts";
import { all, lastArticles, openLive } from "../support/long-chats.ts";
import { found, searchBox, searchOn, searchStatus } from "../support/search-box.ts";

describe("the search", () => {
  test("the search finds messages and titles, and leads there by keyboard", async () => {
    const path = await chatOf(user, ["Apples, pears and quinces", "And plums?"]);
    await chatOf(user, ["Something else"]);
    const page = await open();
    await expect.poll(() => searchBox(page).isEditable()).toBe(true);

    await page.getByRole("button", { name: "New chat", exact: true }).focus();
    await page.keyboard.press("Tab");
    await expect.poll(() => focused(page)).toBe("Search chats");
    await page.keyboard.type("QUINCES");
    // The title, the question, and the answer that quotes it.
    await expect.poll(() => searchStatus(page)).toBe("3 found.");
    expect(await page.getByRole("search").locator("mark").allInnerTexts()).toEqual(["quinces", "quinces", "quinces"]);
    expect(await chatLinks(page).filter({ visible: true }).count()).toBe(0);
    expect(await found(page).last().innerText()).toContain("Apples, pears and quinces");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await expect.poll(() => pathOf(page)).toBe(path);
    await expect.poll(() => focused(page)).toBe("You said");
    expect(await focusedText(page)).toContain("Apples, pears and quinces");
    await answered(page, 4);

    // The same find leads to the same message again.
    await messageBox(page).focus();
    await found(page).last().press("Enter");
    await expect.poll(() => focused(page)).toBe("You said");

    // From anywhere in the search.
    await found(page).first().press("Escape");
    await expect.poll(() => searchBox(page).inputValue()).toBe("");
    await expect.poll(() => focused(page)).toBe("Search chats");
    await expect.poll(() => found(page).count()).toBe(0);
    await expect.poll(() => chatLinks(page).count()).toBe(2);
    await expect.poll(() => searchStatus(page)).toBe("");
  });

  test("the search goes on where it has stopped, and says when there is nothing more", async () => {
    await chatsOf(
      user,
      Array.from({ length: 12 }, (_, index) => [`Pears ${index + 1}`]),
    );
    const page = await open();
    await searchBox(page).fill("pears");
    await searchBox(page).press("End");
    await expect.poll(() => found(page).count()).toBe(30);
    await searchOn(page).focus();
    while (await searchOn(page).count()) {
      const before = await found(page).count();
      await searchOn(page).press("Enter");
      await expect
        .poll(async () => (await found(page).count()) > before || (await searchOn(page).count()) === 0)
        .toBe(true);
    }
    // The title, the question and the answer of each.
    await expect.poll(() => searchStatus(page)).toBe("36 found.");
    const links = await found(page).evaluateAll((links: { getAttribute(name: string): string | null }[]) =>
      links.map((link) => link.getAttribute("href")),
    );
    expect(new Set(links).size).toBe(36);
    await expect.poll(() => page.evaluate("document.activeElement.tagName")).toMatch(/^(A|INPUT)$/);

    await searchBox(page).fill("nowhere");
    await expect.poll(() => searchStatus(page)).toBe("Nothing found.");
    expect(await found(page).count()).toBe(0);
  });

  test("the search says when it did not work", async () => {
    allowComplaint("ERR_FAILED");
    const page = await open();
    await page.route("**/api/chat?search=*", (route) => route.abort());
    await searchBox(page).fill("pears");
    await page.getByRole("search").getByRole("alert").waitFor();
    await expectAccessible(page);
  });

  test("the page says that a message which the search has found is gone by then", async () => {
    const page = await open(await chatOf(user, ["Apples", "Quinces"]));
    await searchBox(page).fill("quinces");
    await expect.poll(() => found(page).count()).toBe(2);
    await messages(page, "user").last().getByRole("button", { name: "Delete from here" }).click();
    await confirmDelete(page);
    await answered(page, 2);
    await found(page).first().click();
    await toast(page, "not there any more").waitFor();
  });

  test("the search shows nothing of other users", async () => {
    await chatOf(user, ["My secret is 4711"]);
    const stranger = await newUser();
    const other = await open(await chatOf(stranger, ["Nothing of mine"]), stranger);
    await searchBox(other).fill("4711");
    await expect.poll(() => searchStatus(other)).toBe("Nothing found.");
    const response = await stranger.request.get(`${server.url}/api/chat?search=4711`);
    expect(await response.json()).toEqual({ matches: [], cursor: null });
    // Nor does going on from where another user's search has stopped.
    await chatsOf(
      user,
      Array.from({ length: 12 }, (_, index) => [`4711 ${index + 1}`]),
    );
    const own = await (await user.request.get(`${server.url}/api/chat?search=4711`)).json();
    expect(own.cursor).toEqual(expect.any(String));
    const theirs = await stranger.request.get(`${server.url}/api/chat?search=4711&cursor=${own.cursor}`);
    expect(await theirs.json()).toEqual({ matches: [], cursor: null });
  });
});

describe("the search in a long chat", () => {
  test("the search leads to any message of a chat of 5,000, however far up", async ({ longChats }) => {
    const { storageState, longest } = longChats;
    await becomeUser({ storageState });
    const page = await openLive(longest);
    await searchBox(page).fill("Question 7:");
    await expect.poll(() => searchStatus(page)).toContain("found");
    const link = found(page).filter({ hasText: "5,000" });
    // One request looks at so many messages at most, and the user's newer chats come first.
    while ((await link.count()) === 0) {
      const before = await found(page).count();
      await searchOn(page).click();
      await expect.poll(() => found(page).count()).toBeGreaterThan(before);
    }
    expect(await link.locator("mark").innerText()).toBe("Question 7:");
    await link.click();
    const article = page.locator("#message-question-7");
    await article.waitFor();
    await expect.poll(() => focusedId(page)).toBe("message-question-7");
    const [box, inside] = [await article.boundingBox(), await page.locator("main .scroll").boundingBox()];
    if (!box || !inside) expect.fail("The message is not shown.");
    expect(box.y).toBeGreaterThanOrEqual(inside.y);
    expect(box.y + box.height).toBeLessThanOrEqual(inside.y + inside.height);
    const ids = await articleIds(page);
    expect(ids).toEqual(lastArticles(all, ids.length));
    // A reload is not led there again.
    await expect.poll(() => pathOf(page)).toBe(longest);
  });
});

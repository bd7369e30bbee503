import { describe, expect } from "vitest";
import { boxOf, styleOf } from "../support/boxes.ts";
import {
  answered,
  becomeUser,
  chatOf,
  choose,
  editor,
  focused,
  interactive,
  messageBox,
  messages,
  open,
  phone,
  showChats,
  test,
  textsOf,
  user,
} from "../support/browser.ts";
import { searchBox } from "../support/search-box.ts";

describe("a phone", () => {
  test.beforeEach(async ({ user: _ }) => void (await becomeUser({ viewport: phone, hasTouch: true, isMobile: true })));

  test("Enter makes a line on a phone, and the button sends", async () => {
    const page = await open();
    await interactive(page);
    await messageBox(page).tap();
    await page.keyboard.type("One line");
    await page.keyboard.press("Enter");
    await page.keyboard.type("and another");
    expect(await messageBox(page).inputValue()).toBe("One line\nand another");
    expect(await messageBox(page).getAttribute("enterkeyhint")).toBe("enter");
    expect(await messages(page).count()).toBe(0);
    await page.getByRole("button", { name: "Send" }).tap();
    expect((await answered(page, 2))[0]).toBe("One line\nand another");
  });

  test("the page goes around the notch of a phone, and no box makes it zoom", async () => {
    const page = await open(await chatOf(user, ["Apples"]));
    await interactive(page);
    expect(await page.locator("meta[name=viewport]").getAttribute("content")).toContain("viewport-fit=cover");
    expect(await styleOf(messageBox(page), "font-size")).toBeGreaterThanOrEqual(16);
    await messages(page, "user").getByRole("button", { name: "Edit" }).tap();
    expect(await styleOf(editor(page), "font-size")).toBeGreaterThanOrEqual(16);
    await page.keyboard.press("Escape");
    await showChats(page);
    expect(await styleOf(searchBox(page), "font-size")).toBeGreaterThanOrEqual(16);
    await choose(page, "Apples", "Rename");
    expect(await styleOf(page.getByRole("textbox", { name: "Title" }), "font-size")).toBeGreaterThanOrEqual(16);
  });

  test("the list on a phone has a new chat, a button that closes it, and closes when a chat opens", async () => {
    const path = await chatOf(user, ["Apples"]);
    const page = await open();
    await interactive(page);
    const list = page.getByRole("navigation", { name: "Chats" });
    await showChats(page);
    await page.getByRole("button", { name: "Close" }).tap();
    await expect.poll(() => list.isVisible()).toBe(false);
    await showChats(page);
    await page.getByRole("link", { name: "Apples" }).tap();
    await expect.poll(() => list.isVisible()).toBe(false);
    expect((await answered(page, 2))[0]).toBe("Apples");
    expect(page.url()).toContain(path);
    // The keyboard would cover half of the page.
    expect(await focused(page)).not.toBe("Message");
    await showChats(page);
    await list.getByRole("button", { name: "New chat" }).tap();
    await expect.poll(() => list.isVisible()).toBe(false);
    await expect.poll(() => textsOf(page)).toEqual([]);
  });

  test("the buttons on a phone are large enough for a finger", async () => {
    const page = await open(await chatOf(user, ["Apples"]));
    await interactive(page);
    await showChats(page);
    const buttons = await page.getByRole("button").filter({ visible: true }).all();
    expect(buttons.length).toBeGreaterThan(3);
    for (const button of buttons) {
      const { width, height } = await boxOf(button);
      expect(Math.min(width, height), await button.innerText()).toBeGreaterThanOrEqual(32);
    }
  });
});

import { describe, expect } from "vitest";
import {
  answered,
  archivedLinks,
  ask,
  chatLinks,
  chatOf,
  editor,
  focused,
  interactive,
  menu,
  messageBox,
  messages,
  more,
  open,
  pathOf,
  sidebar,
  test,
  textsOf,
  user,
} from "../support/browser.ts";

describe("the keyboard", () => {
  test("the keyboard reaches everything", async () => {
    const page = await open();
    await ask(page, "Tea");
    await page.reload();
    await interactive(page);
    // Opening the chat has led to the message box: from the beginning.
    await sidebar(page).click({ position: { x: 1, y: 1 } });
    const reached: (string | undefined)[] = [];
    for (let presses = 0; presses < 11; presses++) {
      await page.keyboard.press("Tab");
      reached.push(await focused(page));
    }
    expect(reached).toEqual([
      "New chat",
      "Search chats",
      "Tea",
      "More: Tea",
      "drizzle-chat-store example",
      "Edit",
      "Delete from here",
      "Copy",
      "Continue in a new chat",
      "Regenerate",
      "Message",
    ]);
  });

  test("the keyboard is enough to rename, archive and delete a chat, and to copy and cut a conversation", async () => {
    const page = await open();
    await ask(page, "Tea");
    const press = async (...keys: string[]) => {
      for (const key of keys) await page.keyboard.press(key);
    };
    await more(page, "Tea").focus();
    await press("Enter", "Tab", "Enter");
    await expect.poll(() => focused(page)).toBe("Title");
    await page.keyboard.type("Coffee");
    await press("Enter");
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Coffee"]);
    await expect.poll(() => focused(page)).toBe("More: Coffee");

    await press("Enter", "Tab", "Tab", "Enter");
    await expect.poll(() => chatLinks(page).count()).toBe(0);
    await expect.poll(() => focused(page)).toBe("Chats");
    // The archive is open, because the chat is the one that is shown.
    await expect.poll(() => archivedLinks(page).isVisible()).toBe(true);
    await press("Tab", "Tab", "Tab", "Tab", "Tab", "Enter", "Tab", "Tab", "Enter");
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Coffee"]);

    await messages(page, "user").getByRole("button", { name: "Edit" }).focus();
    const path = pathOf(page);
    await press("Tab", "Tab", "Tab", "Enter");
    await expect.poll(() => pathOf(page)).not.toBe(path);
    // The address changes first. The message box of the copy takes the focus when the page shows that.
    await expect.poll(() => focused(page)).toBe("Message");
    await answered(page, 2);
    await expect.poll(() => chatLinks(page).count()).toBe(2);

    await messages(page, "user").getByRole("button", { name: "Edit" }).focus();
    await press("Tab", "Enter");
    await expect.poll(() => focused(page)).toBe("Cancel");
    await press("Tab", "Enter");
    await expect.poll(() => messages(page).count()).toBe(0);
    await expect.poll(() => focused(page)).toBe("Message");

    await more(page, "Coffee").first().focus();
    await press("Enter", "Tab", "Tab", "Tab", "Enter");
    await expect.poll(() => focused(page)).toBe("Cancel");
    await press("Tab", "Enter");
    await expect.poll(() => chatLinks(page).count()).toBe(1);
  });

  test("Ctrl+K leads to the search, and Ctrl+Shift+O to a new chat", async () => {
    const path = await chatOf(user, ["Tea"]);
    const page = await open(path);
    await interactive(page);
    await page.keyboard.press("Control+k");
    await expect.poll(() => focused(page)).toBe("Search chats");
    await page.keyboard.press("Control+Shift+O");
    await expect.poll(() => pathOf(page)).not.toBe(path);
    await expect.poll(() => focused(page)).toBe("Message");
    expect(await textsOf(page)).toEqual([]);
  });

  test("ArrowUp in an empty message box edits the last question, and in a draft it only moves", async () => {
    const page = await open(await chatOf(user, ["Tea", "Coffee"]));
    await interactive(page);
    await messageBox(page).fill("A draft");
    await page.keyboard.press("ArrowUp");
    expect(await editor(page).count()).toBe(0);
    await messageBox(page).fill("");
    await page.keyboard.press("ArrowUp");
    await expect.poll(() => focused(page)).toBe("Edit message");
    expect(await editor(page).inputValue()).toBe("Coffee");
    await page.keyboard.press("Escape");
    await expect.poll(() => focused(page)).toBe("Message");
  });

  test("the arrow keys lead through the menu of a chat, around its ends", async () => {
    const page = await open(await chatOf(user, ["Tea"]));
    await interactive(page);
    await more(page, "Tea").focus();
    await page.keyboard.press("Enter");
    await menu(page).waitFor();
    const reached: (string | undefined)[] = [];
    for (const key of ["ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp"]) {
      await page.keyboard.press(key);
      reached.push(await focused(page));
    }
    expect(reached).toEqual(["Rename", "Archive", "Delete", "Rename", "Delete"]);
    await page.keyboard.press("Escape");
    await expect.poll(() => focused(page)).toBe("More: Tea");
  });

  test("the message box has the focus when a chat is opened", async () => {
    await chatOf(user, ["Tea"]);
    const page = await open(await chatOf(user, ["Coffee"]));
    await expect.poll(() => focused(page)).toBe("Message");
    await page.getByRole("link", { name: "Tea" }).press("Enter");
    await expect.poll(async () => (await textsOf(page))[0]).toBe("Tea");
    await expect.poll(() => focused(page)).toBe("Message");
  });
});

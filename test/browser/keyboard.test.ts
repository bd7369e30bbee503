import { describe, expect } from "vitest";
import {
  answered,
  archivedLinks,
  ask,
  chatLinks,
  focused,
  interactive,
  messages,
  more,
  open,
  pathOf,
  test,
} from "../support/browser.ts";

describe("the keyboard", () => {
  test("the keyboard reaches everything", async () => {
    const page = await open();
    await ask(page, "Tea");
    await page.reload();
    await interactive(page);
    const reached: (string | undefined)[] = [];
    for (let presses = 0; presses < 10; presses++) {
      await page.keyboard.press("Tab");
      reached.push(await focused(page));
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
    await press("Tab", "Tab", "Tab", "Tab", "Enter", "Tab", "Tab", "Enter");
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Coffee"]);

    await messages(page, "user").getByRole("button", { name: "Edit" }).focus();
    const path = pathOf(page);
    await press("Tab", "Tab", "Enter");
    await expect.poll(() => pathOf(page)).not.toBe(path);
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
});

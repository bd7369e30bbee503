import { describe, expect } from "vitest";
import {
  allowComplaint,
  answered,
  archive,
  archivedLinks,
  ask,
  askAndHold,
  becomeUser,
  chatLinks,
  chatOf,
  chatsOf,
  choose,
  confirmDelete,
  expectAccessible,
  focused,
  interactive,
  menu,
  messageBox,
  messages,
  more,
  open,
  pathOf,
  test,
  textsOf,
  toast,
  user,
  watchToasts,
} from "../support/browser.ts";

describe("rename", () => {
  test("the user renames a chat in its place", async () => {
    const page = await open();
    await ask(page, "Apples");
    await choose(page, "Apples", "Rename");
    const title = page.getByRole("textbox", { name: "Title" });
    expect(await title.inputValue()).toBe("Apples");
    await title.fill("  Fruit ");
    await title.press("Enter");
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Fruit"]);
    await expect.poll(() => focused(page)).toBe("More: Fruit");
    await expect.poll(() => page.title()).toBe("Fruit");
    await page.reload();
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Fruit"]);

    for (const written of ["Vegetables", ""]) {
      await choose(page, "Fruit", "Rename");
      await title.fill(written);
      await title.press(written ? "Escape" : "Enter");
      await expect.poll(() => title.count()).toBe(0);
      await expect.poll(() => focused(page)).toBe("More: Fruit");
    }
    await choose(page, "Fruit", "Rename");
    await title.fill("Left by a click");
    await messageBox(page).click();
    await expect.poll(() => page.title()).toBe("Left by a click");
    await page.reload();
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Left by a click"]);
    // Its place in the list and its messages are as they were.
    expect((await answered(page, 2))[0]).toBe("Apples");
  });

  test("the page takes a rename or a deletion back that did not reach the server, and says so", async () => {
    allowComplaint("ERR_FAILED");
    const page = await open();
    await ask(page, "Apples");
    const told = await watchToasts(page);
    const lost = "The network connection was lost.";
    await page.route("**/api/chat/*", (route) => route.abort());
    await choose(page, "Apples", "Rename");
    await page.getByRole("textbox", { name: "Title" }).fill("Pears");
    await page.keyboard.press("Enter");
    await expect.poll(told).toEqual([lost]);
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Apples"]);
    await choose(page, "Apples", "Delete");
    await confirmDelete(page);
    await expect.poll(told).toEqual([lost, lost]);
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Apples"]);
    await expectAccessible(page);
    await page.unroute("**/api/chat/*");
    await choose(page, "Apples", "Delete");
    await confirmDelete(page);
    await toast(page, "Chat deleted").waitFor();
    await expect.poll(() => chatLinks(page).count()).toBe(0);
  });
});

describe("delete", () => {
  test("the page asks before it deletes a chat, and makes room for a new one if it was the one that is shown", async () => {
    const apples = await chatOf(user, ["Apples"]);
    const pears = await chatOf(user, ["Pears"]);
    const page = await open(pears);
    await interactive(page);
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Pears", "Apples"]);

    const dialog = page.getByRole("dialog", { name: "Delete this chat?" });
    await choose(page, "Apples", "Delete");
    await expect.poll(() => dialog.innerText()).toContain("“Apples”");
    await expect.poll(() => focused(page)).toBe("Cancel");
    await page.keyboard.press("Escape");
    await expect.poll(() => dialog.count()).toBe(0);
    await expect.poll(() => focused(page)).toBe("More: Apples");
    await choose(page, "Apples", "Delete");
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await expect.poll(() => dialog.count()).toBe(0);
    expect(await chatLinks(page).count()).toBe(2);

    await choose(page, "Apples", "Delete");
    await dialog.getByRole("button", { name: "Delete" }).click();
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Pears"]);
    await expect.poll(() => focused(page)).toBe("Chats");
    expect((await textsOf(page))[0]).toBe("Pears");

    await choose(page, "Pears", "Delete");
    await dialog.getByRole("button", { name: "Delete" }).click();
    await expect.poll(() => chatLinks(page).count()).toBe(0);
    await expect.poll(() => messages(page).count()).toBe(0);
    await expect.poll(() => pathOf(page)).not.toBe(pears);
    await expect.poll(() => focused(page)).toBe("Message");
    await ask(page, "Plums");
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Plums"]);
    for (const path of [apples, pears]) {
      const deleted = await open(path);
      await interactive(deleted);
      expect(await messages(deleted).count()).toBe(0);
    }
  });

  test("a chat that the user deletes while its answer streams stays deleted", async () => {
    // The browser's own line, if the answer breaks off before the page has let go of it.
    allowComplaint("ERR_INCOMPLETE_CHUNKED_ENCODING");
    // Its page may ask for the chat once more.
    allowComplaint("404");
    const page = await open();
    const path = pathOf(page);
    const held = await askAndHold(page, "Never mind");
    await choose(page, "Never mind", "Delete");
    await confirmDelete(page);
    await expect.poll(() => chatLinks(page).count()).toBe(0);
    // The server finds out, and ends the answer. It would have stored it by the time when it has answered the next question.
    await held.aborted;
    await expect.poll(() => messages(page).count()).toBe(0);
    await ask(page, "Something else");
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Something else"]);
    const again = await open(path);
    await interactive(again);
    expect(await chatLinks(again).allInnerTexts()).toEqual(["Something else"]);
    expect(await messages(again).count()).toBe(0);
  });
});

describe("archive", () => {
  test("the user archives a chat and takes it back, and the archive is there after a reload", async () => {
    await chatOf(user, ["Apples"]);
    const page = await open(await chatOf(user, ["Pears"]));
    await interactive(page);
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Pears", "Apples"]);
    expect(await archive(page).count()).toBe(0);
    await choose(page, "Apples", "Archive");
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Pears"]);
    await expect.poll(() => archivedLinks(page).count()).toBe(1);
    expect(await archivedLinks(page).isVisible()).toBe(false);
    await archive(page).click();
    await expect.poll(() => archivedLinks(page).allInnerTexts()).toEqual(["Apples"]);
    await archivedLinks(page).click();
    await expect.poll(async () => (await textsOf(page))[0]).toBe("Apples");

    // The one that is shown is shown in its list.
    await page.reload();
    await expect.poll(() => archivedLinks(page).isVisible()).toBe(true);
    await expect.poll(() => archivedLinks(page).getAttribute("aria-current")).toBe("page");
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Pears"]);
    await ask(page, "Still there?");
    expect(await archivedLinks(page).allInnerTexts()).toEqual(["Apples"]);

    await choose(page, "Apples", "Unarchive");
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Apples", "Pears"]);
    await expect.poll(() => archive(page).count()).toBe(0);
  });
});

describe("the menu of a chat", () => {
  test("a menu closes on Escape and on a click elsewhere, and is not cut off at the window's end", async () => {
    await becomeUser({ viewport: { width: 1280, height: 400 } });
    const questions = Array.from({ length: 8 }, (_, index) => [`Chat ${index + 1}`]);
    await chatsOf(user, questions);
    const page = await open();
    await interactive(page);
    await expect.poll(() => chatLinks(page).count()).toBe(8);
    const titles = await chatLinks(page).allInnerTexts();
    for (const title of [titles[0] ?? "", titles[7] ?? ""]) {
      await more(page, title).click();
      await menu(page).waitFor();
      const box = await menu(page).boundingBox();
      if (!box) expect.fail("The menu is not shown.");
      expect(box.y + box.height).toBeLessThanOrEqual(400);
      await page.keyboard.press("Escape");
      await expect.poll(() => menu(page).count()).toBe(0);
      await expect.poll(() => focused(page)).toBe(`More: ${title}`);
    }
    await more(page, titles[0] ?? "").click();
    await menu(page).waitFor();
    await page.getByRole("main").click({ position: { x: 5, y: 5 } });
    await expect.poll(() => menu(page).count()).toBe(0);
  });
});

import { describe, expect } from "vitest";
import {
  answered,
  archivedLinks,
  ask,
  askAndHold,
  chatIdOf,
  chatLinks,
  chatOf,
  choose,
  confirmDelete,
  interactive,
  isBusy,
  messageBox,
  messages,
  newChat,
  open,
  pathOf,
  request,
  test,
  textsOf,
  user,
} from "../support/browser.ts";

describe("the list of chats", () => {
  test("the list has each chat once, titled by its first question, newest activity first, without a reload", async () => {
    const page = await open();
    expect(await chatLinks(page).count()).toBe(0);
    const long = "A question that is a good deal longer than any title in a list of chats has a right to be";
    const asked = ["Apples", "Pears", long];
    for (const question of asked) {
      await newChat(page);
      await ask(page, question);
    }
    const title = "A question that is a good deal longer than any title in a list of chats has a r…";
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual([title, "Pears", "Apples"]);
    // The tab has less room.
    await expect.poll(() => page.title()).toBe(`${title.slice(0, 60).trim()}…`);

    await chatLinks(page).last().click();
    await expect.poll(() => page.title()).toBe("Apples");
    expect((await answered(page, 2))[0]).toBe("Apples");
    const apples = await chatLinks(page).last().getAttribute("href");
    await expect.poll(() => pathOf(page)).toBe(apples);
    expect(apples).toMatch(/^\/\?chatId=./);
    await expect.poll(() => page.locator("[aria-current=page]").innerText()).toBe("Apples");

    await ask(page, "More apples");
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Apples", title, "Pears"]);

    await page.getByRole("link", { name: "Pears" }).click();
    await expect.poll(async () => (await textsOf(page))[0]).toBe("Pears");
    await page.goBack();
    expect((await answered(page, 4))[2]).toBe("More apples");
  });

  test("the list has a new chat while its first answer still streams", async () => {
    const page = await open();
    const held = await askAndHold(page, "Quickly");
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Quickly"]);
    expect(await isBusy(page)).toBe(true);
    held.finish();
    await answered(page, 2);
  });
});

describe("another tab", () => {
  test("another tab shows within a moment what has changed in this one", async () => {
    const [page, other] = [await open(), await open()];
    const texts = await ask(page, "Apples");
    await expect.poll(() => chatLinks(other).allInnerTexts()).toEqual(["Apples"]);
    const same = await open(pathOf(page));
    await choose(page, "Apples", "Rename");
    await page.getByRole("textbox", { name: "Title" }).fill("Fruit");
    await page.keyboard.press("Enter");
    await expect.poll(() => chatLinks(other).allInnerTexts()).toEqual(["Fruit"]);
    await choose(other, "Fruit", "Archive");
    await expect.poll(() => archivedLinks(page).allInnerTexts()).toEqual(["Fruit"]);
    await expect.poll(() => chatLinks(page).count()).toBe(0);
    await choose(page, "Fruit", "Unarchive");
    await expect.poll(() => chatLinks(other).allInnerTexts()).toEqual(["Fruit"]);

    // The same chat, too, with what is being written there.
    await messageBox(same).fill("A draft");
    const more = await ask(page, "More apples");
    await expect.poll(() => textsOf(same)).toEqual(more);
    expect(await answered(same, 4)).toEqual(more);
    await messages(page, "user").last().getByRole("button", { name: "Delete from here" }).click();
    await confirmDelete(page);
    expect(await answered(same, 2)).toEqual(texts);
    expect(await messageBox(same).inputValue()).toBe("A draft");

    await choose(page, "Fruit", "Delete");
    await confirmDelete(page);
    await expect.poll(() => chatLinks(other).count()).toBe(0);
    await expect.poll(() => messages(same).count()).toBe(0);
  });

  test("a page shows what another device has changed when the user comes back to it", async () => {
    // It was opened after the answer: a page that has asked reads its list again when the answer ends.
    const path = await chatOf(user, ["Apples"]);
    // When it is opened, it reads its list again, too.
    const isList = /\/api\/chat\?(?!.*archived=true)/;
    const listed = user.waitForEvent("response", (response) => isList.test(response.url()));
    const page = await open(path);
    await interactive(page);
    await (await listed).finished();
    expect(await chatLinks(page).allInnerTexts()).toEqual(["Apples"]);
    const [id, data] = [chatIdOf(page), { title: "Fruit" }];
    expect((await request(user, "PATCH", "", { id, data })).status()).toBe(200);
    expect(await chatLinks(page).allInnerTexts()).toEqual(["Apples"]);
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))");
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["Fruit"]);
  });
});

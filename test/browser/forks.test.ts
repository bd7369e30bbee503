import { describe, expect } from "vitest";
import {
  alertInMain,
  allowComplaint,
  answered,
  ask,
  askAndHold,
  chatLinks,
  chatOf,
  confirmDelete,
  expectComplaints,
  focused,
  messageBox,
  messages,
  open,
  pathOf,
  showsFirstWords,
  test,
  toast,
  user,
  watchToasts,
} from "../support/browser.ts";

describe("forks and deletions", () => {
  test("a conversation goes on in a copy from any answer, which says that it is one, and both go on by themselves", async () => {
    const path = await chatOf(user, ["First", "Second"]);
    const page = await open(path);
    const texts = await answered(page, 4);
    const fork = page.getByRole("button", { name: "Continue in a new chat" });
    expect(await fork.count()).toBe(2);
    const told = await watchToasts(page);
    await fork.first().click();
    await expect.poll(() => pathOf(page)).not.toBe(path);
    expect(await answered(page, 2)).toEqual(texts.slice(0, 2));
    await expect.poll(() => chatLinks(page).allInnerTexts()).toEqual(["First (copy)", "First"]);
    await expect.poll(told).toEqual([expect.stringContaining("This is a copy.")]);
    await expect.poll(() => focused(page)).toBe("Message");
    const forked = await ask(page, "Another second");
    expect(forked[3]).toContain("answer 2 of our chat");
    await page.reload();
    expect(await answered(page, 4)).toEqual(forked);

    const other = await open(path);
    expect(await answered(other, 4)).toEqual(texts);
    expect((await ask(other, "Third"))[5]).toContain("answer 3 of our chat");
    await page.reload();
    expect(await answered(page, 4)).toEqual(forked);
  });

  test("a copy whose confirmation is lost is opened by the next try, and made once", async () => {
    const path = await chatOf(user, ["First"]);
    const page = await open(path);
    const texts = await answered(page, 2);
    const before = await chatLinks(page).count();
    allowComplaint("ERR_FAILED");
    // The second request finds that the copy is there.
    allowComplaint("409");
    await page.route("**/fork", async (route) => {
      await route.fetch();
      await route.abort();
    });
    const fork = page.getByRole("button", { name: "Continue in a new chat" });
    await fork.first().click();
    await toast(page, "The network connection was lost.").waitFor();
    await page.unroute("**/fork");
    await fork.first().click();
    await expect.poll(() => pathOf(page)).not.toBe(path);
    expect(await answered(page, 2)).toEqual(texts);
    await expect.poll(() => chatLinks(page).count()).toBe(before + 1);
  });

  test("a conversation can be copied while its next answer streams, which goes on", async () => {
    const page = await open();
    const texts = await ask(page, "First");
    const path = pathOf(page);
    const held = await askAndHold(page, "Second");
    const fork = page.getByRole("button", { name: "Continue in a new chat" });
    // The answer that streams has no buttons yet.
    await expect.poll(() => fork.count()).toBe(1);
    for (const name of ["Edit", "Delete from here"]) {
      const buttons = await page.getByRole("button", { name }).all();
      expect(buttons).toHaveLength(2);
      for (const button of buttons) expect(await button.isDisabled()).toBe(true);
    }
    await fork.first().click();
    await expect.poll(() => pathOf(page)).not.toBe(path);
    expect(await answered(page, 2)).toEqual(texts);
    const other = await open(path);
    await showsFirstWords(other);
    held.finish();
    expect((await answered(other, 4))[3]).toContain('answer 2 of our chat. You asked "Second"');
  });

  test("the page asks before it deletes a question with all that follows", async () => {
    const page = await open(await chatOf(user, ["First", "Second", "Third"]));
    const texts = (await answered(page, 6)).slice(0, 2);
    const dialog = page.getByRole("dialog", { name: "Delete from here?" });
    const button = messages(page, "user").nth(1).getByRole("button", { name: "Delete from here" });
    await button.click();
    await dialog.waitFor();
    await page.keyboard.press("Escape");
    await expect.poll(() => dialog.count()).toBe(0);
    await expect.poll(() => focused(page)).toBe("Delete from here");
    expect(await messages(page).count()).toBe(6);
    await button.click();
    await dialog.getByRole("button", { name: "Delete" }).click();
    expect(await answered(page, 2)).toEqual(texts);
    await expect.poll(() => focused(page)).toBe("Message");
    await page.reload();
    expect(await answered(page, 2)).toEqual(texts);
    expect((await ask(page, "Second again"))[3]).toContain("answer 2 of our chat");
    await messages(page, "user").first().getByRole("button", { name: "Delete from here" }).click();
    await dialog.getByRole("button", { name: "Delete" }).click();
    await expect.poll(() => messages(page).count()).toBe(0);
    expect((await ask(page, "From the beginning"))[1]).toContain("answer 1 of our chat");
  });

  test("a question that never reached the server can be deleted, too", async () => {
    const page = await open();
    const texts = await ask(page, "First");
    await page.route("**/api/chat", (route) => route.abort());
    await messageBox(page).fill("Lost");
    await messageBox(page).press("Enter");
    await alertInMain(page).waitFor();
    await messages(page, "user").last().getByRole("button", { name: "Delete from here" }).click();
    await confirmDelete(page);
    expect(await answered(page, 2)).toEqual(texts);
    await expect.poll(() => alertInMain(page).count()).toBe(0);
    await expectComplaints(["ERR_FAILED", "404"]);
  });
});

import { describe, expect } from "vitest";
import {
  alertInMain,
  allowComplaint,
  answered,
  ask,
  askAndHold,
  chatIdOf,
  chatLinks,
  chatOf,
  confirmDelete,
  editor,
  expectAccessible,
  expectComplaints,
  focused,
  isBusy,
  log,
  messageBox,
  messages,
  model,
  open,
  pathOf,
  regenerateAndHold,
  send,
  showsFirstWords,
  test,
  textsOf,
  user,
} from "../support/browser.ts";
import { answerTo } from "../support/model-server.ts";

describe("a conversation", () => {
  test("a question appears at once, and its answer word by word", async () => {
    const page = await open();
    const question = "What is the capital of Sweden?";
    const held = model.hold(question);
    await send(page, question);
    expect((await textsOf(page))[0]).toBe(question);
    await held.begun;
    const first = await showsFirstWords(page);
    const lastText = async () => (await textsOf(page)).at(-1);
    for (const [word, shown] of [
      ["chat, ", "chat,"],
      ["and this ", "chat, and this"],
      ["is **so** ", "chat, and this is so"],
      ["far.", "chat, and this is so far."],
    ] as const) {
      held.say(word);
      await expect.poll(lastText).toBe(`${first} ${shown}`);
      expect(await isBusy(page)).toBe(true);
    }
    held.finish();
    const [asked, answer] = await answered(page, 2);
    expect(asked).toBe(question);
    expect(answer).toContain(`You asked "${question}"`);
    expect(await messages(page, "assistant").locator("strong").allInnerTexts()).toEqual(["so", "model of the test"]);
  });

  test("the page sends only the last message", async () => {
    const page = await open();
    await ask(page, "One");
    const request = page.waitForRequest("**/api/chat");
    await ask(page, "Two");
    const body: unknown = (await request).postDataJSON();
    expect(body).toEqual({
      id: chatIdOf(page),
      message: { id: expect.any(String), role: "user", parts: [{ type: "text", text: "Two" }] },
      trigger: "submit-message",
    });
  });

  test("a conversation goes on with a second message, and is all there after a reload", async () => {
    const page = await open();
    await ask(page, "First question");
    const texts = await ask(page, "Second question");
    expect(texts[3]).toBe(answerTo(["First question", "Second question"]).replaceAll("**", ""));
    await page.reload();
    expect(await answered(page, 4)).toEqual(texts);
    expect((await ask(page, "Third question"))[5]).toContain("answer 3 of our chat");
  });

  test("Shift+Enter makes a line, and the page sends nothing while an answer streams or when there is nothing to send", async () => {
    const page = await open();
    await messageBox(page).fill("   ");
    await messageBox(page).press("Enter");
    await messageBox(page).fill("One line");
    await messageBox(page).press("Shift+Enter");
    await messageBox(page).pressSequentially("and another");
    expect(await messages(page).count()).toBe(0);
    const held = model.hold("One line\nand another");
    await page.getByRole("button", { name: "Send" }).click();
    await held.begun;
    await showsFirstWords(page);
    await messageBox(page).fill("Too early");
    await messageBox(page).press("Enter");
    held.finish();
    expect((await answered(page, 2))[0]).toBe("One line\nand another");
    expect(await messageBox(page).inputValue()).toBe("Too early");
  });

  test("the page shows HTML as text, and loads no images", async () => {
    const page = await open();
    const texts = await ask(page, "<b>bold</b> <img src=x> ![](https://example.com/x.png) <script>alert(1)</script>");
    expect(texts[1]).toContain("<b>bold</b> <img src=x>");
    expect(texts[1]).toContain("<script>alert(1)</script>");
    expect(await log(page).locator("b, img, script").count()).toBe(0);
  });

  test("Regenerate replaces the answer", async () => {
    const page = await open();
    const texts = await ask(page, "Again, please");
    const held = await regenerateAndHold(page, "Again, please");
    expect((await showsFirstWords(page)).length).toBeLessThan(texts[1]?.length ?? 0);
    expect(await messages(page).count()).toBe(2);
    held.finish();
    expect(await answered(page, 2)).toEqual(texts);
    await page.reload();
    expect(await answered(page, 2)).toEqual(texts);
  });

  test("the model answers an edited question anew, and what followed it is gone", async () => {
    const page = await open(await chatOf(user, ["Firts", "Second"]));
    const edit = messages(page, "user").first().getByRole("button", { name: "Edit" });
    await edit.click();
    await expect.poll(() => editor(page).inputValue()).toBe("Firts");
    await editor(page).press("Escape");
    await expect.poll(() => editor(page).count()).toBe(0);

    await edit.click();
    await editor(page).fill("First");
    await editor(page).press("Enter");
    const texts = await answered(page, 2);
    expect(texts[0]).toBe("First");
    expect(texts[1]).toContain("answer 1 of our chat");
    expect(texts[1]).toContain('You asked "First"');
    await page.reload();
    expect(await answered(page, 2)).toEqual(texts);
  });

  test("the page says that a request has failed, and tries it again", async () => {
    // The browser's own line about the aborted request.
    allowComplaint("ERR_FAILED");
    const page = await open();
    await page.route("**/api/chat", (route) => route.abort());
    await messageBox(page).fill("Can you hear me?");
    await messageBox(page).press("Enter");
    await alertInMain(page).waitFor();
    await expectAccessible(page);
    await page.unroute("**/api/chat");
    await alertInMain(page).getByRole("button", { name: "Try again" }).click();
    expect((await answered(page, 2))[1]).toContain("Can you hear me?");
    await expect.poll(() => alertInMain(page).count()).toBe(0);
  });
});

describe("forks and deletions", () => {
  test("a conversation goes on in a new chat from any answer, and both go on by themselves", async () => {
    const path = await chatOf(user, ["First", "Second"]);
    const page = await open(path);
    const texts = await answered(page, 4);
    const fork = page.getByRole("button", { name: "Continue in a new chat" });
    expect(await fork.count()).toBe(2);
    await fork.first().click();
    await expect.poll(() => pathOf(page)).not.toBe(path);
    expect(await answered(page, 2)).toEqual(texts.slice(0, 2));
    await expect.poll(() => chatLinks(page).count()).toBe(2);
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
    await expect.poll(() => alertInMain(page).textContent()).toBe("The chat could not be copied.");
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
    await expect.poll(() => fork.count()).toBe(2);
    expect(await fork.last().isDisabled()).toBe(true);
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

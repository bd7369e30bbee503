import { describe, expect } from "vitest";
import {
  alertInMain,
  allowComplaint,
  answered,
  ask,
  chatIdOf,
  chatOf,
  editor,
  expectAccessible,
  interactive,
  isBusy,
  log,
  messageBox,
  messages,
  model,
  open,
  regenerateAndHold,
  send,
  showsFirstWords,
  test,
  textsOf,
  toast,
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

  test("an editor says how many messages stay with the old version, and the model answers the edited question anew", async () => {
    const page = await open(await chatOf(user, ["Firts", "Second"]));
    const edit = messages(page, "user").first().getByRole("button", { name: "Edit" });
    await edit.click();
    await expect.poll(() => editor(page).inputValue()).toBe("Firts");
    // Nothing is gone before the user has asked.
    await page.getByText("Messages after it, which stay with the old version: 3.").waitFor();
    expect(await messages(page).count()).toBe(4);
    await editor(page).press("Escape");
    await expect.poll(() => editor(page).count()).toBe(0);

    expect(await messages(page).count()).toBe(4);

    await edit.click();
    await editor(page).fill("First");
    await page.getByRole("button", { name: "Ask again" }).click();
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
    // The page looks whether its question has arrived all the same.
    allowComplaint("404");
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

  test("Send cannot be pressed when there is nothing to send", async () => {
    const page = await open();
    await interactive(page);
    const button = page.getByRole("button", { name: "Send" });
    expect(await button.isDisabled()).toBe(true);
    await messageBox(page).fill("  ");
    expect(await button.isDisabled()).toBe(true);
    await messageBox(page).fill("Hi");
    expect(await button.isEnabled()).toBe(true);
  });

  test("the user copies an answer, and a block of code in it", async () => {
    await user.grantPermissions(["clipboard-read", "clipboard-write"]);
    const code = "select 1;\nselect 2;\n";
    model.reply("SQL?", `Two **lines**:\n\n\`\`\`sql\n${code}\`\`\``);
    const page = await open(await chatOf(user, ["SQL?"]));
    await interactive(page);
    const copied = () => page.evaluate<string>("navigator.clipboard.readText()");
    await page.getByRole("button", { name: "Copy code" }).click();
    await toast(page, "Copied").waitFor();
    expect((await copied()).trim()).toBe(code.trim());
    await page.getByRole("button", { name: "Copy", exact: true }).click();
    await expect.poll(copied).toContain("Two **lines**:");
  });
});

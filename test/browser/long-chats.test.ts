import { describe, expect } from "vitest";
import {
  alertInMain,
  allowComplaint,
  articleIds,
  askAndHold,
  becomeUser,
  chatIdOf,
  confirmDelete,
  editor,
  expectAccessible,
  expectComplaints,
  focused,
  focusedText,
  idle,
  type LongChats,
  messages,
  open,
  phone,
  regenerateAndHold,
  request,
  server,
  test,
  textsOf,
  user,
} from "../support/browser.ts";
import {
  all,
  copyOf,
  holdOlder,
  idsOfLongChat,
  lastArticles,
  olderMessages,
  openLive,
  some,
  storedIds,
} from "../support/long-chats.ts";
import { scrollHasEnded, scrollUp, topOf } from "../support/scrolling.ts";

describe("a long chat", () => {
  let chats: LongChats;
  test.beforeEach(async ({ user: _, longChats }) => {
    chats = longChats;
    await becomeUser({ storageState: chats.storageState });
  });

  test("a chat of 5,000 messages opens with its last page, and costs no more than one of a few pages", async () => {
    const sizeOf = async (path: string) => {
      const page = await open(path);
      expect(await articleIds(page)).toHaveLength(30);
      const response = await user.request.get(`${server.url}${path}`);
      return (await response.body()).byteLength;
    };
    const [most, few] = [await sizeOf(chats.longest), await sizeOf(chats.long)];
    expect(most).toBeLessThan(few * 1.05);
    expect(most).toBeLessThan(100_000);
    const page = await openLive(chats.longest);
    expect(await articleIds(page)).toEqual(lastArticles(all, 30));
  });

  test.each([
    ["a wide window", { width: 1100, height: 800 }],
    ["a phone", phone],
  ])("a page shows older messages when the reader scrolls up, without a jump, on %s", async (_, viewport) => {
    await becomeUser({ viewport, storageState: chats.storageState });
    const page = await openLive(chats.long);
    const older = await holdOlder(page);
    for (let shown = 30; shown < some; ) {
      await scrollUp(page);
      await expect.poll(older.asked).toBe(Math.ceil(shown / 30));
      await scrollHasEnded(page);
      const [first = ""] = await articleIds(page);
      const top = await topOf(page, first);
      older.release();
      await expect.poll(async () => (await articleIds(page)).length).toBeGreaterThan(shown);
      await scrollHasEnded(page);
      expect(Math.abs((await topOf(page, first)) - top)).toBeLessThanOrEqual(2);
      shown = (await articleIds(page)).length;
    }
    expect(await articleIds(page)).toEqual(lastArticles(some, some));
    await expect.poll(() => page.getByRole("button", { name: "Show older messages" }).count()).toBe(0);
    await scrollUp(page);
    await expect.poll(() => topOf(page, "message-question-1")).toBeGreaterThanOrEqual(0);
  });

  test("a page shows older messages by keyboard, and then leads to the first one", async () => {
    const page = await openLive(chats.long);
    // At once: on the way to it by keys one comes so near that they are loaded by themselves.
    await page.getByRole("button", { name: "Show older messages" }).focus();
    await scrollHasEnded(page);
    const top = await topOf(page, "message-question-86");
    await page.keyboard.press("Enter");
    await expect.poll(async () => (await articleIds(page)).length).toBe(60);
    expect(Math.abs((await topOf(page, "message-question-86")) - top)).toBeLessThanOrEqual(2);
    expect(await focusedText(page)).toBe("Show older messages");
    for (const count of [90, 120, 150, 180, 200]) {
      await page.keyboard.press("Enter");
      await expect.poll(async () => (await articleIds(page)).length).toBe(count);
    }
    await expect.poll(() => focused(page)).toBe("Conversation");
    await page.keyboard.press("Tab");
    await expect.poll(() => focused(page)).toBe("Edit");
    await expect.poll(() => topOf(page, "message-question-1")).toBeGreaterThanOrEqual(0);
  });

  test("a page says when older messages could not be loaded, asks once, and tries again", async () => {
    allowComplaint("ERR_FAILED");
    const page = await openLive(chats.long);
    let asked = 0;
    await page.route(olderMessages, (route) => {
      asked++;
      return route.abort();
    });
    await scrollUp(page);
    await alertInMain(page).waitFor();
    await expectAccessible(page);
    expect(asked).toBe(1);
    await page.unroute(olderMessages);
    await page.getByRole("button", { name: "Try again" }).click();
    await expect.poll(async () => (await articleIds(page)).length).toBe(60);
    await expect.poll(() => alertInMain(page).count()).toBe(0);
  });

  test("a page loads a chat again from its end when the message is gone before which it wanted more", async () => {
    const path = await copyOf(user, chats.long, "answer-60");
    // What the page asks for when it opens is answered: it learns of the rest only when it asks for more.
    const page = await openLive(path);
    const id = chatIdOf(page);
    expect((await articleIds(page))[0]).toBe("message-question-46");
    expect((await request(user, "DELETE", "/messages/question-41?following=true", { id })).status()).toBe(200);
    expect((await request(user, "GET", "?before=question-46", { id })).status()).toBe(409);
    await scrollUp(page);
    await expect.poll(async () => (await articleIds(page)).at(-1)).toBe("message-answer-40");
    const ids = await articleIds(page);
    expect(ids).toEqual(lastArticles(80, ids.length));
    await expectComplaints(["409"]);
  });

  test("a long chat goes on with a window of it, and keeps all its messages", async () => {
    const page = await openLive(await copyOf(user, chats.long, "answer-100"));
    const id = chatIdOf(page);
    const before = await storedIds(user, id);
    expect(before).toEqual(idsOfLongChat(some));
    const held = await askAndHold(page, "Go on");
    // What is put in front while the answer is written disturbs neither.
    await scrollUp(page);
    await expect.poll(async () => (await articleIds(page)).length).toBeGreaterThanOrEqual(62);
    held.finish();
    // Of the last 40 messages the first is an answer, which the model is not given: 20 questions are left.
    const answer = 'This is answer 20 of our chat. You asked "Go on", and a model of the test answers word by word.';
    await expect.poll(() => messages(page, "assistant").last().innerText()).toContain(answer);
    await idle(page);
    const after = await storedIds(user, id);
    expect(after.slice(0, some)).toEqual(before);
    expect(after).toHaveLength(some + 2);
    const shown = await articleIds(page);
    expect(shown.slice(0, -2)).toEqual(before.slice(some + 2 - shown.length).map((id) => `message-${id}`));

    const again = await regenerateAndHold(page, "Go on");
    again.finish();
    await expect.poll(() => messages(page, "assistant").last().innerText()).toContain(answer);
    await idle(page);
    await page.reload();
    expect((await storedIds(user, id)).slice(0, -1)).toEqual(after.slice(0, -1));
    await expect.poll(() => articleIds(page)).toHaveLength(30);
    expect((await textsOf(page)).at(-2)).toBe("Go on");
  });

  test("the user edits, cuts and copies what the page shows of a long chat, and older messages stay", async () => {
    const page = await openLive(await copyOf(user, chats.long, "answer-100"));
    const id = chatIdOf(page);
    const question = page.locator("#message-question-90");
    await question.getByRole("button", { name: "Edit" }).click();
    await editor(page).fill("Edited");
    await page.keyboard.press("Enter");
    await expect
      .poll(async () => (await textsOf(page)).at(-1))
      .toContain('You asked "Edited", and a model of the test');
    await idle(page);
    const edited = await storedIds(user, id);
    expect(edited.slice(0, -1)).toEqual(idsOfLongChat(179));
    const shown = await articleIds(page);
    expect(shown).toEqual(edited.slice(-shown.length).map((id) => `message-${id}`));

    await page.locator("#message-answer-87").getByRole("button", { name: "Continue in a new chat" }).click();
    await expect.poll(() => chatIdOf(page)).not.toBe(id);
    await expect.poll(async () => (await articleIds(page)).at(-1)).toBe("message-answer-87");
    expect(await articleIds(page)).toHaveLength(30);
    expect(await storedIds(user, chatIdOf(page))).toEqual(idsOfLongChat(174));

    // From the first that is shown on: what comes before takes its place.
    const [first = ""] = await articleIds(page);
    await page.locator(`#${first}`).getByRole("button", { name: "Delete from here" }).click();
    await confirmDelete(page);
    await expect.poll(async () => (await articleIds(page)).at(-1)).toBe("message-answer-72");
    expect(await page.getByRole("heading", { level: 1 }).innerText()).not.toContain("What would you like to know?");
    expect(await storedIds(user, chatIdOf(page))).toEqual(idsOfLongChat(144));
  });

  test("a page keeps the older messages that it has loaded when another tab goes on with the chat", async () => {
    const path = await copyOf(user, chats.long, "answer-100");
    const [page, other] = [await openLive(path), await openLive(path)];
    await scrollUp(page);
    await expect.poll(async () => (await articleIds(page)).length).toBe(60);
    (await askAndHold(other, "From the other tab")).finish();
    await expect.poll(async () => (await articleIds(page)).length).toBe(62);
    const shown = await articleIds(page);
    expect(shown.slice(0, -2)).toEqual(lastArticles(some, 60));
  });
});

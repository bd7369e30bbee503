import type { UIMessage } from "ai";
import { describe, expect } from "vitest";
import { conversation, textOf } from "../support/conversations.ts";
import { eventually } from "../support/eventually.ts";
import { type App, matrix, say, type Tab, test } from "../support/react-page.ts";

const settings = { branches: true };

/** The page generates the last answer again, or that of a question with this id. */
async function regenerate(app: App, tab: Tab, answer: string, messageId?: string) {
  const count = app.voices.length;
  const asked = tab.call("regenerate", messageId ? [{ messageId }] : []);
  const voice = await app.voice(count + 1);
  voice.say(answer);
  voice.finish();
  await asked;
}

async function edit(app: App, tab: Tab, messageId: string, text: string, answer: string) {
  const count = app.voices.length;
  const asked = tab.call("sendMessage", [{ text, messageId }]);
  const voice = await app.voice(count + 1);
  voice.say(answer);
  voice.finish();
  await asked;
}

/** Stores an alternative of the last answer, beside the page. */
async function addAlternative(app: App, chatId: string, text: string) {
  const { userId, store } = app;
  const question = (await app.stored(chatId)).findLast(({ role }) => role === "user") as UIMessage;
  const turn = await store.startTurn({ userId, chatId, message: question, trigger: "regenerate-message" });
  await turn.persist.onEnd({ responseMessage: say("assistant", text, turn.persist.generateMessageId()) });
}

const picks = (tab: Tab, ...pickers: string[]) =>
  tab.until(`the pickers are ${pickers}`, (view) => String(view.pickers) === String(pickers));

describe.concurrent.for(matrix)("With React $react and ai $ai, branchOf", (versions) => {
  test("goes back to an answer that was generated again, and forth", async ({ open }) => {
    const app = await open({ settings }, versions);
    const chatId = await app.addChat();
    const tab = await app.openTab({ chat: { id: chatId } });
    await tab.ready();
    expect((await tab.read()).pickers).toEqual(["1/1", "1/1"]);
    await regenerate(app, tab, "Hello again.");
    await picks(tab, "1/1", "2/2");
    await regenerate(app, tab, "Hi!");
    await picks(tab, "1/1", "3/3");

    const texts = async () => (await tab.read()).texts;
    const answerId = async () => (await tab.read()).ids[1] as string;
    const wanted = ["Hello again.", "Hello."];
    for (const [index, text] of wanted.entries()) {
      await tab.pick("previous", await answerId());
      expect(await texts()).toEqual(["Hi", text]);
      await picks(tab, "1/1", `${2 - index}/3`);
      await app.expectShown(chatId, tab);
    }
    // There is none before the first one.
    await tab.pick("previous", await answerId());
    expect(await texts()).toEqual(["Hi", "Hello."]);
    await tab.pick("next", await answerId());
    await tab.pick("next", await answerId());
    await tab.pick("next", await answerId());
    expect(await texts()).toEqual(["Hi", "Hi!"]);
    await picks(tab, "1/1", "3/3");
    await app.expectShown(chatId, tab);
    const next = await app.openTab({ chat: { id: chatId } });
    await picks(next, "1/1", "3/3");
    expect(app.faults).toEqual([]);
  });

  test("goes back to the messages before an edit, with the answers that followed", async ({ open }) => {
    const app = await open({ settings }, versions);
    const chatId = await app.addChat(conversation(4));
    const tab = await app.openTab({ chat: { id: chatId } });
    await tab.ready();
    await edit(app, tab, "m2", "Why?", "Because.");
    await picks(tab, "1/1", "1/1", "2/2", "1/1");
    await tab.pick("previous", "m2");
    expect((await tab.read()).messages).toEqual(conversation(4));
    await picks(tab, "1/1", "1/1", "1/2", "1/1");
    await tab.pick("next", "m2");
    expect((await tab.read()).texts.slice(2)).toEqual(["Why?", "Because."]);

    // The first one of the chat follows no message.
    await edit(app, tab, "m0", "Who?", "I.");
    await picks(tab, "2/2", "1/1");
    await tab.pick("previous", "m0");
    expect((await tab.read()).texts.slice(2)).toEqual(["Why?", "Because."]);
    await picks(tab, "1/2", "1/1", "2/2", "1/1");
    await app.expectShown(chatId, tab);
  });

  test("goes back also while the page looks for an answer to join", async ({ open }) => {
    const app = await open({ settings }, versions);
    const chatId = await app.addChat();
    await addAlternative(app, chatId, "Hello again.");
    let isFound = false;
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    // The server has found no answer, but the page does not know it yet.
    app.intercept(async (request, next) => {
      const response = await next(request);
      if (!request.url.includes("/stream")) return response;
      isFound = true;
      await released;
      return response;
    });
    const tab = await app.openTab({ chat: { id: chatId } });
    await picks(tab, "1/1", "2/2");
    await eventually("the server has looked", () => isFound);
    const picked = tab.pick("previous", (await tab.read()).ids[1] as string);
    await eventually("the server has switched", async () => textOf((await app.stored(chatId))[1]) === "Hello.");
    release();
    await picked;
    expect(await tab.read()).toMatchObject({ texts: ["Hi", "Hello."], pickers: ["1/1", "1/2"] });
    await app.expectShown(chatId, tab);
  });

  test("follows a switch in another tab, and in the same tab", async ({ open }) => {
    const app = await open({ settings }, versions);
    const chatId = await app.addChat();
    await addAlternative(app, chatId, "Hello again.");
    const tab = await app.openTab({ chat: { id: chatId }, twin: { id: chatId } });
    const other = await app.openTab({ chat: { id: chatId } });
    await picks(tab, "1/1", "2/2");
    await picks(other, "1/1", "2/2");
    await tab.ready("twin");
    await tab.pick("previous", (await tab.read()).ids[1] as string);
    await picks(other, "1/1", "1/2");
    expect((await other.read()).texts).toEqual(["Hi", "Hello."]);
    await tab.until("the twin follows", ({ pickers }) => pickers[1] === "1/2", "twin");
    for (const one of [tab, other]) await app.expectShown(chatId, one);
    await app.expectShown(chatId, tab, "twin");
  });
});

describe.concurrent("branchOf", () => {
  test("of the first message of a page waits until it is known which message comes before", async ({ open }) => {
    const app = await open({ settings });
    const chatId = await app.addChat(conversation(4));
    const tab = await app.openTab({ chat: { id: chatId, pageSize: 2 } });
    await tab.ready();
    await edit(app, tab, "m2", "Why?", "Because.");
    await edit(app, tab, "m2", "How?", "So.");
    await tab.show({ later: { id: chatId, pageSize: 2 } });
    const later = await tab.until("it is ready", ({ pickers }) => pickers.length === 2, "later");
    expect(later).toMatchObject({ ids: ["m2", expect.any(String)], hasMore: true, pickers: ["1/1", "1/1"] });
    await tab.pick("previous", "m2", "later");
    expect((await tab.read("later")).texts).toEqual(["How?", "So."]);
    await tab.call("loadOlder", [], "later");
    await tab.until("the message before is there", ({ pickers }) => pickers[2] === "3/3", "later");
    await tab.pick("previous", "m2", "later");
    const back = await tab.read("later");
    expect(back.texts.slice(2)).toEqual(["Why?", "Because."]);
    expect(back.pickers).toEqual(["1/1", "1/1", "2/3", "1/1"]);
  });

  test("of the first message of the chat needs no message before, once all are loaded", async ({ open }) => {
    const app = await open({ settings });
    const chatId = await app.addChat(conversation(2));
    const tab = await app.openTab({ chat: { id: chatId, pageSize: 2 } });
    await tab.ready();
    await edit(app, tab, "m0", "Why?", "Because.");
    await edit(app, tab, "m0", "How?", "So.");
    await picks(tab, "3/3", "1/1");
    await tab.ask("And?");
    const voice = await app.voice(3);
    voice.say("Or.");
    voice.finish();
    await app.expectShown(chatId, tab);
    await tab.show({ later: { id: chatId, pageSize: 2 } });
    await tab.until("the last two are there", ({ pickers }) => String(pickers) === "1/1,1/1", "later");
    await tab.call("loadOlder", [], "later");
    await tab.until("all are there", ({ pickers }) => String(pickers) === "3/3,1/1,1/1,1/1", "later");
    await tab.pick("previous", "m0", "later");
    // The messages that stood behind the other question are gone from the page.
    await tab.until("it shows the other", ({ texts }) => String(texts) === "Why?,Because.", "later");
    await app.expectShown(chatId, tab);
  });

  test("shows on another device what it finds when it comes back", async ({ open }) => {
    const app = await open({ settings });
    const chatId = await app.addChat();
    await addAlternative(app, chatId, "Hello again.");
    const tab = await app.openTab({ chat: { id: chatId } });
    const device = await app.openDevice({ chat: { id: chatId } });
    await picks(tab, "1/1", "2/2");
    await picks(device, "1/1", "2/2");
    await tab.pick("previous", (await tab.read()).ids[1] as string);
    await device.comeBack();
    await picks(device, "1/1", "1/2");
    await app.expectShown(chatId, device);
  });

  test("of a branch that is gone shows what is stored by now", async ({ open }) => {
    const app = await open({ settings });
    const chatId = await app.addChat();
    await addAlternative(app, chatId, "Hello again.");
    await addAlternative(app, chatId, "Hi!");
    const tab = await app.openTab({ chat: { id: chatId } });
    const device = await app.openDevice({ chat: { id: chatId } });
    await picks(device, "1/1", "3/3");
    await picks(tab, "1/1", "3/3");
    await tab.pick("previous", (await tab.read()).ids[1] as string);
    // To the device, the second one is a branch still.
    await device.pick("previous", (await device.read()).ids[1] as string);
    expect(await device.read()).toMatchObject({ texts: ["Hi", "Hello again."], pickers: ["1/1", "2/3"] });
    expect((await device.read()).loadError).toBeUndefined();
    await app.expectShown(chatId, device);
  });

  test("of a chat that is gone says that it is missing", async ({ open }) => {
    const app = await open({ settings });
    const chatId = await app.addChat();
    await addAlternative(app, chatId, "Hello again.");
    const tab = await app.openTab({ chat: { id: chatId } });
    await picks(tab, "1/1", "2/2");
    await app.store.deleteChat({ userId: app.userId, chatId });
    await tab.pick("previous", (await tab.read()).ids[1] as string);
    expect(await tab.read()).toMatchObject({ loadStatus: "missing", messages: [], pickers: [] });
  });

  test("keeps the page and says why if a switch fails, and works again after it", async ({ open }) => {
    const app = await open({ settings });
    const chatId = await app.addChat();
    await addAlternative(app, chatId, "Hello again.");
    const tab = await app.openTab({ chat: { id: chatId } });
    await picks(tab, "1/1", "2/2");
    const before = await tab.read();
    for (const [status, code] of [
      [500, "failed"],
      [503, "unavailable"],
      [401, "unauthorized"],
    ] as const) {
      const refused = app.refuse(/^POST .*branches/, status, code);
      await tab.pick("previous", before.ids[1] as string);
      expect(await tab.read()).toEqual({ ...before, loadError: expect.objectContaining({ code }) });
      refused.accept();
    }
    await tab.pick("previous", before.ids[1] as string);
    expect(await tab.read()).toMatchObject({ texts: ["Hi", "Hello."], loadError: undefined });
    await app.expectShown(chatId, tab);
  });

  test("has the alternatives of a page that the server has given, with the first render", async ({ open }) => {
    const app = await open({ settings });
    const chatId = await app.addChat();
    await addAlternative(app, chatId, "Hello again.");
    const page = await app.pageOf(chatId);
    app.requests.length = 0;
    const tab = await app.openTab({ chat: { id: chatId, page } });
    const [first] = await tab.commits();
    expect(first).toMatchObject({ texts: ["Hi", "Hello again."], pickers: ["1/1", "2/2"] });
    await tab.pick("previous", page.messages[1]?.id as string);
    expect(await tab.read()).toMatchObject({ texts: ["Hi", "Hello."], pickers: ["1/1", "1/2"] });
    await tab.show({ chat: { id: chatId, page: await app.pageOf(chatId) } });
    await app.expectShown(chatId, tab);
  });

  test("knows one version only if the store keeps none", async ({ open }) => {
    const app = await open();
    const chatId = await app.addChat();
    const tab = await app.openTab({ chat: { id: chatId } });
    await tab.ready();
    await regenerate(app, tab, "Hello again.");
    const [, answerId] = (await app.expectShown(chatId, tab)).map(({ id }) => id);
    expect((await tab.read()).pickers).toEqual(["1/1", "1/1"]);
    app.requests.length = 0;
    for (const direction of ["previous", "next"] as const) {
      await tab.pick(direction, answerId as string);
      await tab.pick(direction, "missing");
    }
    expect(app.requests).toEqual([]);
  });
});

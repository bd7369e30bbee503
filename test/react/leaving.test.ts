import { randomUUID } from "node:crypto";
import { describe, expect } from "vitest";
import { eventually } from "../support/eventually.ts";
import { beginAnswer, matrix, say, test } from "../support/react-page.ts";

describe.concurrent.each(matrix)("Leaving a chat with React $react and ai $ai", (versions) => {
  test("for another one ends the request, and never mixes the two", async ({ open }) => {
    const app = await open({}, versions);
    const other = await app.addChat([say("user", "Other?"), say("assistant", "Other.")]);
    const { chatId, tab, voice } = await beginAnswer(app);
    await tab.show({ chat: { id: other } });
    await app.expectShownWhileBusy(other, tab);
    await eventually("the request has ended", () => app.inFlight.size === 0);
    expect(voice.signal?.aborted).toBe(false);
    voice.say("cause.");
    await tab.ask("And?");
    const next = await app.voice(2);
    next.say("So.");
    await tab.shows("So.");
    voice.finish();
    next.finish();
    await app.expectShown(other, tab);
    await tab.show({ chat: { id: chatId } });
    await app.expectShown(chatId, tab);
    expect((await tab.read()).texts).toEqual(["Hi", "Hello.", "Why?", "Because."]);
    for (const { id, texts } of await tab.commits()) {
      if (texts.length === 0) continue;
      expect(texts[0]).toBe(id === chatId ? "Hi" : "Other?");
    }
  });

  test("while a question is on its way sends it, and its answer is there later", async ({ open }) => {
    const app = await open({}, versions);
    const chatId = randomUUID();
    const tab = await app.openTab({ chat: { id: chatId, page: null } });
    const held = app.hold(/^POST/);
    await tab.ask("Why?");
    await eventually("the question is on its way", () => held.held.length === 1);
    await tab.show({ chat: null });
    held.release();
    const voice = await app.voice();
    await eventually("the request has ended", () => app.inFlight.size === 0);
    expect(voice.signal?.aborted).toBe(false);
    voice.say("Because.");
    voice.finish();
    await eventually("the answer is stored", app.isIdle);
    const last = (await tab.commits()).length;
    await tab.show({ again: { id: chatId } });
    await app.expectShown(chatId, tab, "again");
    expect((await tab.read("again")).texts).toEqual(["Why?", "Because."]);
    expect((await tab.commits()).length).toBe(last);
  });

  test("while an answer arrives ends the request, and the turn goes on", async ({ open }) => {
    const app = await open({}, versions);
    const chatId = randomUUID();
    const tab = await app.openTab({ chat: { id: chatId, page: null } });
    await tab.ask("Why?");
    const voice = await app.voice();
    voice.say("Be");
    await tab.shows("Be");
    await tab.show({ chat: null });
    await eventually("the request has ended", () => app.inFlight.size === 0);
    await tab.show({ again: { id: chatId } });
    await tab.shows("Be", "again");
    voice.say("cause.");
    voice.finish();
    await app.expectShown(chatId, tab, "again");
    expect(voice.signal?.aborted).toBe(false);
    expect(app.voices).toHaveLength(1);
  });
});

describe.concurrent("Leaving a chat", () => {
  test("before it is loaded, or while it resumes, does no harm", async ({ open }) => {
    const app = await open();
    const chatId = await app.addChat();
    const held = app.hold(/^GET/);
    const tab = await app.openTab({ chat: { id: chatId } });
    await eventually("it is being loaded", () => held.held.length > 0);
    await tab.show({ chat: null });
    held.release();
    await tab.show({ again: { id: chatId, page: await app.pageOf(chatId) } });
    const resuming = app.hold(/^GET .*stream/);
    await tab.show({ again: null });
    await tab.show({ third: { id: chatId } });
    resuming.release();
    await app.expectShown(chatId, tab, "third");
  });

  test("and to come back with a new page of it shows that", async ({ open }) => {
    const app = await open();
    const chatId = await app.addChat();
    const tab = await app.openTab({ chat: { id: chatId, page: await app.pageOf(chatId) } });
    await app.expectShown(chatId, tab);
    const messages = await app.stored(chatId);
    await app.store.upsertChat({ userId: app.userId, chatId, messages: [...messages, say("user", "More")] });
    app.requests.length = 0;
    await tab.show({ chat: { id: chatId, page: await app.pageOf(chatId) } });
    await app.expectShown(chatId, tab);
    // The page that came first looks for an answer to its version, perhaps only now.
    expect(app.requests.filter((name) => name !== `GET /${chatId}/stream?version=1`)).toEqual([]);
  });

  test("and to render the page of a chat that was deleted since does not bring it back", async ({ open }) => {
    const app = await open();
    const chatId = await app.addChat();
    const page = await app.pageOf(chatId);
    const tab = await app.openTab({ chat: { id: chatId, page }, list: { list: true } });
    await app.expectShown(chatId, tab);
    await tab.call("remove", [chatId], "list");
    await tab.until("it is gone", ({ loadStatus }) => loadStatus === "missing");
    // Equal, and another object: as a component makes it that puts it together as it renders.
    await tab.show({ chat: { id: chatId, page } });
    await tab.call("reload");
    expect((await tab.commits()).at(-1)).toMatchObject({ loadStatus: "missing", texts: [] });
    const first = (await tab.commits()).findIndex(({ loadStatus }) => loadStatus === "missing");
    for (const { texts } of (await tab.commits()).slice(first)) expect(texts).toEqual([]);
  });
});

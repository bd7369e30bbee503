import { describe, expect } from "vitest";
import { conversation } from "../support/conversations.ts";
import { eventually } from "../support/eventually.ts";
import { type App, say, test } from "../support/react-page.ts";

const olderRequests = ({ requests }: App) => requests.filter((request) => request.includes("before="));

describe.concurrent("Older pages", () => {
  async function openLong(open: () => Promise<App>, count = 7) {
    const app = await open();
    const messages = conversation(count);
    const chatId = await app.addChat(messages);
    const tab = await app.openTab({ chat: { id: chatId, pageSize: 2 } });
    await tab.ready();
    return { app, chatId, tab, messages, ids: messages.map(({ id }) => id) };
  }

  test("come in order and without doubles, until there are no more", async ({ open }) => {
    const { app, chatId, tab, ids } = await openLong(open);
    for (const shown of [2, 4, 6]) {
      expect(await tab.read()).toMatchObject({ ids: ids.slice(-shown), hasMore: true });
      await tab.call("loadOlder");
    }
    expect(await tab.read()).toMatchObject({ ids, hasMore: false, isLoadingOlder: false });
    await app.expectShown(chatId, tab);
    await tab.call("loadOlder");
    expect(olderRequests(app)).toHaveLength(3);
  });

  test("are loaded once for two clicks", async ({ open }) => {
    const { app, tab, ids } = await openLong(open);
    const held = app.hold(/^GET/);
    const loaded = Promise.all([tab.call("loadOlder"), tab.call("loadOlder"), tab.call("loadOlder")]);
    await tab.until("it is loading", ({ isLoadingOlder }) => isLoadingOlder);
    held.release();
    await loaded;
    expect(await tab.read()).toMatchObject({ ids: ids.slice(-4), isLoadingOlder: false });
    expect(olderRequests(app)).toHaveLength(1);
  });

  test("have the size that the latest render asks for", async ({ open }) => {
    const { app, chatId, tab, ids } = await openLong(open);
    await tab.show({ chat: { id: chatId, pageSize: 4 } });
    await tab.call("loadOlder");
    expect(await tab.read()).toMatchObject({ ids: ids.slice(-6), hasMore: true });
    expect(olderRequests(app)).toHaveLength(1);
  });

  test("come while an answer is generated", async ({ open }) => {
    const { app, chatId, tab, ids } = await openLong(open);
    await tab.ask("Why?");
    const voice = await app.voice();
    voice.say("Be");
    await tab.shows("Be");
    await tab.call("loadOlder");
    const { texts, status } = await tab.read();
    expect({ status, last: texts.slice(-2) }).toEqual({ status: "streaming", last: ["Why?", "Be"] });
    expect((await tab.read()).ids.slice(0, 4)).toEqual(ids.slice(-4));
    voice.say("cause.");
    voice.finish();
    await tab.ready();
    await tab.call("loadOlder");
    await tab.call("loadOlder");
    await app.expectShown(chatId, tab);
  });

  test("come after the oldest message on the page was deleted elsewhere", async ({ open }) => {
    const { app, chatId, tab, ids } = await openLong(open);
    await tab.call("loadOlder");
    await app.store.deleteMessage({ userId: app.userId, chatId, messageId: "m3" });
    await tab.call("loadOlder");
    expect(await tab.read()).toMatchObject({ ids: ids.slice(-3), hasMore: true, isLoadingOlder: false });
    await tab.call("loadOlder");
    await tab.call("loadOlder");
    await app.expectShown(chatId, tab);
    expect((await tab.read()).ids).toEqual(ids.filter((id) => id !== "m3"));
  });

  test("that cannot be loaded leave the page as it is, and can be tried again", async ({ open }) => {
    const { app, tab, ids } = await openLong(open);
    const server = app.refuse(/^GET/, 500, "failed");
    await tab.call("loadOlder");
    expect(await tab.read()).toMatchObject({ ids: ids.slice(-2), hasMore: true, loadError: { code: "failed" } });
    server.accept();
    await tab.call("loadOlder");
    expect(await tab.read()).toMatchObject({ ids: ids.slice(-4), hasMore: true, loadError: undefined });
  });

  test("stay when another device adds more messages than a page has", async ({ open }) => {
    const app = await open();
    const messages = conversation(260);
    const chatId = await app.addChat(messages);
    const tab = await app.openTab({ chat: { id: chatId, pageSize: 50 } });
    await tab.ready();
    for (let times = 0; times < 3; times++) await tab.call("loadOlder");
    expect((await tab.read()).ids).toEqual(messages.slice(60).map(({ id }) => id));
    const more = [...messages, ...Array.from({ length: 40 }, (_, index) => say(index % 2 ? "assistant" : "user", "x"))];
    await app.store.upsertChat({ userId: app.userId, chatId, messages: more });
    app.requests.length = 0;
    await tab.comeBack();
    await tab.until("the new ones are there", ({ ids }) => ids.at(-1) === more.at(-1)?.id);
    expect(await tab.read()).toMatchObject({ ids: more.slice(60).map(({ id }) => id), hasMore: true });
    expect(app.requests.length).toBeLessThanOrEqual(4);
  });

  test("stay when another device has added hundreds of messages, as far as they can be joined", async ({ open }) => {
    const { app, chatId, tab, messages } = await openLong(open);
    const more = [...messages, ...conversation(300).map((message) => ({ ...message, id: `n${message.id}` }))];
    await app.store.upsertChat({ userId: app.userId, chatId, messages: more });
    await tab.comeBack();
    await tab.until("the new ones are there", ({ ids }) => ids.at(-1) === more.at(-1)?.id);
    const { ids } = await tab.read();
    // No gap: they are the last ones of the chat.
    expect(ids).toEqual(more.slice(-ids.length).map(({ id }) => id));
    await eventually("older ones are loaded", async () => {
      await tab.call("loadOlder");
      return (await tab.read()).ids.length > ids.length;
    });
  });
});

import { randomUUID } from "node:crypto";
import { describe, expect } from "vitest";
import { matrix, say, test } from "../support/react-page.ts";

describe.concurrent.each(matrix)("useStoredChat with React $react and ai $ai", (versions) => {
  test("loads a stored chat, and looks for an answer once", async ({ open }) => {
    const app = await open({}, versions);
    const chatId = await app.addChat();
    const tab = await app.openTab({ chat: { id: chatId } });
    await app.expectShown(chatId, tab);
    const [first] = await tab.commits();
    expect(first).toMatchObject({ loadStatus: "loading", ids: [] });
    expect(app.requests.filter((request) => request.includes("?limit"))).toEqual([`GET /${chatId}?limit=30`]);
    expect(app.requests.filter((request) => request.includes("/stream")).length).toBeLessThanOrEqual(2);
    expect(await tab.heard()).toEqual(versions.ai === 5 ? [expect.stringMatching(/^finish/)] : []);
  });

  test("a question and its answer make a new chat known", async ({ open }) => {
    const app = await open({}, versions);
    const chatId = randomUUID();
    const tab = await app.openTab({ chat: { id: chatId, page: null } });
    expect(await tab.read()).toMatchObject({ loadStatus: "loaded", chat: null, messages: [], status: "ready" });
    expect(app.requests).toEqual([]);
    await tab.ask("Why do tides turn?");
    const voice = await app.voice();
    voice.say("The moon ");
    await tab.shows("The moon ");
    voice.say("pulls.");
    voice.finish();
    const messages = await app.expectShown(chatId, tab);
    expect(messages).toHaveLength(2);
    expect((await tab.read()).chat).toMatchObject({ id: chatId, title: "Why do tides turn?", version: 2 });
  });

  test("a page that is loaded in mid-answer goes on with it", async ({ open }) => {
    const app = await open({}, versions);
    const chatId = randomUUID();
    const asking = await app.openTab({ chat: { id: chatId, page: null } });
    await asking.ask("Why do tides turn?");
    const voice = await app.voice();
    voice.say("The moon ");
    await asking.shows("The moon ");
    const [loading, given] = await Promise.all([
      app.openTab({ chat: { id: chatId } }),
      app.openDevice({ chat: { id: chatId, page: await app.pageOf(chatId) } }),
    ]);
    for (const tab of [loading, given]) await tab.shows("The moon ");
    await asking.page.reload();
    await asking.show({ chat: { id: chatId } });
    await asking.shows("The moon ");
    voice.say("pulls.");
    voice.finish();
    for (const tab of [asking, loading, given]) await app.expectShown(chatId, tab);
    expect(app.voices).toHaveLength(1);
  });
});

describe.concurrent("The first load of useStoredChat", () => {
  test("a given page is shown at once, and not loaded", async ({ open }) => {
    const app = await open();
    const chatId = await app.addChat();
    const tab = await app.openTab({ chat: { id: chatId, page: await app.pageOf(chatId) } });
    const [first] = await tab.commits();
    expect(first).toMatchObject({ loadStatus: "loaded", chatId, texts: ["Hi", "Hello."] });
    await app.expectShown(chatId, tab);
    const streams = app.requests.filter((request) => request.endsWith("/stream?version=1"));
    expect(app.requests).toEqual(streams);
    expect(streams.length).toBeLessThanOrEqual(2);
  });

  test("a stored chat without messages is loaded, and gets its first question", async ({ open }) => {
    const app = await open();
    const chatId = await app.addChat([], "Empty");
    const tab = await app.openTab({ chat: { id: chatId } });
    await tab.ready();
    expect(await tab.read()).toMatchObject({ chat: { id: chatId, title: "Empty" }, messages: [], hasMore: false });
    await tab.ask("Why?");
    const voice = await app.voice();
    voice.say("Because.");
    voice.finish();
    expect(await app.expectShown(chatId, tab)).toHaveLength(2);
  });

  test("a chat that the user does not have is missing, and is loaded once it is there", async ({ open }) => {
    const app = await open();
    const chatId = randomUUID();
    const tab = await app.openTab({ chat: { id: chatId } });
    await tab.until("it is missing", ({ loadStatus }) => loadStatus === "missing");
    expect(await tab.read()).toMatchObject({ chat: null, messages: [], status: "ready" });
    await app.store.upsertChat({ userId: app.userId, chatId, messages: [say("user", "Hi")] });
    await tab.call("reload");
    await app.expectShown(chatId, tab);
  });

  test.for(["reload", "online"])("a first load that fails is failed, until %s loads it", async (how, { open }) => {
    const app = await open();
    const chatId = await app.addChat();
    const server = app.refuse(/^GET/, 500, "failed");
    const tab = await app.openTab({ chat: { id: chatId } });
    await tab.until("it has failed", ({ loadStatus }) => loadStatus === "failed");
    const loadError = { name: "ChatRequestError", code: "failed", message: "So it is.", isRetryable: true };
    expect(await tab.read()).toMatchObject({ loadError, messages: [], status: "ready", error: undefined });
    server.accept();
    if (how === "reload") await tab.call("reload");
    else await tab.comeOnline();
    await app.expectShown(chatId, tab);
    expect((await tab.read()).loadError).toBe(undefined);
  });

  test("a later load that fails takes away nothing", async ({ open }) => {
    const app = await open();
    const chatId = await app.addChat();
    const tab = await app.openTab({ chat: { id: chatId } });
    const messages = await app.expectShown(chatId, tab);
    const server = app.refuse(/^GET/, 503, "unavailable");
    await tab.comeBack();
    await tab.until("the load has failed", ({ loadError }) => loadError?.code === "unavailable");
    expect(await tab.read()).toMatchObject({ loadStatus: "loaded", messages, chat: { id: chatId } });
    server.accept();
    await app.store.upsertChat({ userId: app.userId, chatId, messages: [...messages, say("user", "More")] });
    await tab.call("reload");
    await app.expectShown(chatId, tab);
    expect((await tab.read()).loadError).toBe(undefined);
  });

  test("a page that the user goes back to, and that is out of date, shows the newest messages", async ({ open }) => {
    const app = await open();
    const chatId = await app.addChat();
    const page = await app.pageOf(chatId);
    const tab = await app.openTab({ chat: { id: chatId, page } });
    await tab.ready();
    await tab.ask("Why?");
    const voice = await app.voice();
    voice.say("Because.");
    voice.finish();
    await app.expectShown(chatId, tab);
    await tab.show({ chat: null });
    await tab.show({ again: { id: chatId, page } });
    await app.expectShown(chatId, tab, "again");
  });
});

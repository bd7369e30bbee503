import { describe, expect } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type App, say, type Tab, test } from "../support/react-page.ts";

describe.concurrent("A chat that another tab changes", () => {
  const messages = [
    say("user", "One?", "q1"),
    say("assistant", "One.", "a1"),
    say("user", "Two?", "q2"),
    say("assistant", "Two.", "a2"),
    say("user", "Three?", "q3"),
    say("assistant", "Three.", "a3"),
  ];

  /** Two tabs of one browser: the first has loaded an older page. */
  async function openTabs(open: (options?: object) => Promise<App>) {
    const app = await open();
    const chatId = await app.addChat(messages);
    const tab = await app.openTab({ chat: { id: chatId, pageSize: 2 } });
    await tab.ready();
    await tab.call("loadOlder");
    expect((await tab.read()).ids).toEqual(["q2", "a2", "q3", "a3"]);
    const other = await app.openTab({ chat: { id: chatId } });
    await app.expectShown(chatId, other);
    // Each looks for a running answer, which may take longer than all that the page shows.
    await eventually("both have looked for an answer", () => streamsOf(app).length >= 2);
    return { app, chatId, tab, other };
  }

  const streamsOf = ({ requests }: App) => requests.filter((name) => name.includes("/stream?version=1"));

  const last = ["Two?", "Two.", "Three?", "Three."];
  const showsTexts = (tab: Tab, texts: string[]) =>
    tab.until(`it shows ${texts}`, (view) => view.texts.join() === texts.join() && view.status === "ready");

  test("shows its question and its answer as it is generated", async ({ open }) => {
    const { app, chatId, tab, other } = await openTabs(open);
    await other.ask("Four?");
    const voice = await app.voice();
    voice.say("Fo");
    await tab.until("it shows the answer", ({ texts }) => texts.join() === [...last, "Four?", "Fo"].join());
    expect(await tab.read()).toMatchObject({ status: "streaming", hasMore: true });
    voice.say("ur.");
    voice.finish();
    await app.expectShown(chatId, other);
    await showsTexts(tab, [...last, "Four?", "Four."]);
    expect(app.voices).toHaveLength(1);
    // What is read does not move: each render ends, and begins, with the messages of the one before.
    const renders = (await tab.commits()).map(({ ids }) => ids).slice(-12);
    for (const ids of renders) if (ids.length >= 4) expect(ids.slice(0, 4)).toEqual(["q2", "a2", "q3", "a3"]);
  });

  test("shows the answer that replaces one that has failed", async ({ open }) => {
    const { app, chatId, tab, other } = await openTabs(open);
    await tab.ask("Four?");
    (await app.voice()).fail();
    await tab.until("it has failed", ({ status }) => status === "error");
    await other.until("it shows the question", ({ texts }) => texts.at(-1) === "Four?");
    await other.begin("regenerate");
    const voice = await app.voice(2);
    voice.say("Fo");
    await tab.until("it shows the new answer", ({ texts, status }) => texts.at(-1) === "Fo" && status === "streaming");
    voice.say("ur.");
    voice.finish();
    await app.expectShown(chatId, other);
    await showsTexts(tab, [...last, "Four?", "Four."]);
  });

  test("that shows the page's answer, too, leaves the error with which it ends", async ({ open }) => {
    const { app, chatId, tab, other } = await openTabs(open);
    await tab.ask("Four?");
    const voice = await app.voice();
    voice.say("Fo");
    await other.until("it joins", ({ texts, status }) => texts.at(-1) === "Fo" && status === "streaming");
    voice.fail();
    for (const one of [tab, other]) await one.until("it has failed", ({ status }) => status === "error");
    // A later event: the page has heard of the ends of both tabs' answers.
    await other.page.evaluate((id) => (globalThis as unknown as Browser).client.update(id, { title: "New" }), chatId);
    await tab.until("it shows the title", ({ chat }) => chat?.title === "New");
    await tab.call("reload");
    expect(await tab.read()).toMatchObject({ status: "error", error: { message: "An error occurred." } });
  });

  test("and that the page has missed, leaves its own failed question and all messages", async ({ open }) => {
    const { app, chatId, tab, other } = await openTabs(open);
    const server = app.refuse(/^GET/, 500, "failed");
    await other.ask("Four?");
    const voice = await app.voice();
    await tab.until("it has heard of the question", ({ loadError }) => loadError?.code === "failed");
    voice.say("Four.");
    voice.finish();
    await eventually("the answer is stored", app.isIdle);
    await other.page.close();
    server.accept();
    await tab.ask("Five?");
    (await app.voice(2)).fail();
    await tab.until("it has failed", ({ status }) => status === "error");
    // The second one arrives after what the first has brought about.
    for (let count = 0; count < 2; count++) await tab.call("reload");
    const all = ["One?", "One.", ...last, "Four?", "Four.", "Five?"];
    const { status, texts } = await tab.read();
    expect({ status, texts }).toEqual({ status: "error", texts: all.slice(-7) });
    expect((await app.stored(chatId)).length).toBe(all.length);
  });

  test("shows an answer that is generated again, and an edited question", async ({ open }) => {
    const { app, chatId, tab, other } = await openTabs(open);
    await other.begin("regenerate", [{ messageId: "a3" }]);
    const voice = await app.voice();
    voice.say("Thr");
    await tab.until("it shows the new answer", ({ texts }) => texts.at(-1) === "Thr");
    expect((await tab.read()).texts).toEqual([...last.slice(0, 3), "Thr"]);
    voice.say("ee!");
    voice.finish();
    await app.expectShown(chatId, other);
    await showsTexts(tab, [...last.slice(0, 3), "Three!"]);
    await other.begin("sendMessage", [{ text: "2?", messageId: "q2" }]);
    const next = await app.voice(2);
    next.say("2.");
    next.finish();
    await app.expectShown(chatId, other);
    await showsTexts(tab, ["2?", "2."]);
  });

  test("keeps the answer while the other tab asks for another one that has no word yet", async ({ open }) => {
    const { app, chatId, tab, other } = await openTabs(open);
    await other.begin("regenerate", [{ messageId: "a3" }]);
    const voice = await app.voice();
    await eventually("the tab joins", () => streamsOf(app).length > 2);
    expect((await tab.read()).texts).toEqual(last);
    voice.finish();
    await eventually("no turn is running", app.isIdle);
    await tab.ready();
    expect((await tab.read()).messages).toEqual((await app.stored(chatId)).slice(2));
  });

  test("shows a deleted message, a new title, and that the chat is deleted", async ({ open }) => {
    const { app, chatId, tab, other } = await openTabs(open);
    await other.page.evaluate((id) => (globalThis as never as Browser).client.deleteMessage(id, "a3"), chatId);
    await showsTexts(tab, last.slice(0, 3));
    await showsTexts(other, ["One?", "One.", ...last.slice(0, 3)]);
    await other.page.evaluate(
      (id) => (globalThis as never as Browser).client.update(id, { title: "Counting" }),
      chatId,
    );
    await tab.until("it shows the title", ({ chat }) => chat?.title === "Counting");
    await other.until("it shows the title", ({ chat }) => chat?.title === "Counting");
    expect((await tab.read()).texts).toEqual(last.slice(0, 3));
    await other.page.evaluate((id) => (globalThis as never as Browser).client.delete(id), chatId);
    for (const page of [tab, other]) {
      await page.until("it is missing", ({ loadStatus }) => loadStatus === "missing");
      expect(await page.read()).toMatchObject({ messages: [], chat: null, hasMore: false, status: "ready" });
    }
    expect(app.faults).toEqual([]);
  });

  test("changes nothing while an answer arrives, and is shown right after it", async ({ open }) => {
    const { app, chatId, tab, other } = await openTabs(open);
    await tab.ask("Four?");
    const voice = await app.voice();
    voice.say("Fo");
    await tab.shows("Fo");
    await other.shows("Fo");
    await other.page.evaluate((id) => (globalThis as never as Browser).client.deleteMessage(id, "a2"), chatId);
    await tab.comeBack();
    expect((await tab.read()).texts).toEqual([...last, "Four?", "Fo"]);
    voice.say("ur.");
    await tab.shows("Four.");
    expect((await tab.read()).texts).toEqual([...last, "Four?", "Four."]);
    voice.finish();
    await showsTexts(tab, ["Two?", "Three?", "Three.", "Four?", "Four."]);
    await app.expectShown(chatId, other);
  });

  test("is shown in a second hook of the same page, too", async ({ open }) => {
    const { app, chatId, tab } = await openTabs(open);
    await tab.show({ second: { id: chatId } });
    await app.expectShown(chatId, tab, "second");
    await tab.ask("Four?");
    const voice = await app.voice();
    voice.say("Fo");
    await tab.shows("Fo");
    await tab.call("reload", [], "second");
    await tab.shows("Fo", "second");
    voice.say("ur.");
    voice.finish();
    await showsTexts(tab, [...last, "Four?", "Four."]);
    await app.expectShown(chatId, tab, "second");
  });

  test("on another device is shown when the page is visible again", async ({ open }) => {
    const { app, chatId, tab } = await openTabs(open);
    const device = await app.openDevice({ chat: { id: chatId } });
    await device.ready();
    await device.ask("Four?");
    const voice = await app.voice();
    voice.say("Fo");
    await device.shows("Fo");
    expect((await tab.read()).texts).toEqual(last);
    await tab.comeBack();
    await tab.shows("Fo");
    voice.say("ur.");
    voice.finish();
    await app.expectShown(chatId, device);
    await showsTexts(tab, [...last, "Four?", "Four."]);
  });

  test("one change costs a page at most three requests", async ({ open }) => {
    const { app, chatId, other, tab } = await openTabs(open);
    await tab.page.close();
    await other.ready();
    app.requests.length = 0;
    await app.store.updateChat({ userId: app.userId, chatId, title: "Counting" });
    await other.comeBack();
    await other.until("it shows the title", ({ chat }) => chat?.title === "Counting");
    await eventually("it looks for an answer", () => app.requests.some((name) => name.includes("/stream")));
    expect(app.requests).toEqual([`GET /${chatId}?limit=30`, `GET /${chatId}/stream?version=1`]);
  });
});

interface Browser {
  client: import("../../src/client.ts").ChatClient;
}

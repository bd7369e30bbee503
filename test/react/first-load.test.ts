import { randomUUID } from "node:crypto";
import { describe, expect } from "vitest";
import { matrix, test } from "../support/react-page.ts";

describe.concurrent.each(matrix)("useStoredChat with React $react and ai $ai", (versions) => {
  test("loads a stored chat, and looks for an answer once", async ({ open }) => {
    const app = await open({}, versions);
    const chatId = await app.addChat();
    const tab = await app.openTab({ chat: { id: chatId } });
    await app.expectShown(chatId, tab);
    const [first] = await tab.commits();
    expect(first).toMatchObject({ loadStatus: "loading", ids: [] });
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
});

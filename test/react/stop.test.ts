import { randomUUID } from "node:crypto";
import { describe, expect } from "vitest";
import { eventually } from "../support/eventually.ts";
import { beginAnswer, matrix, test } from "../support/react-page.ts";

describe.concurrent.each(matrix)("Stop with React $react and ai $ai", (versions) => {
  test("while an answer arrives keeps what was said, and marks it after a reload, too", async ({ open }) => {
    const app = await open({}, versions);
    const chatId = randomUUID();
    const tab = await app.openTab({ chat: { id: chatId, page: null } });
    await tab.ask("Why?");
    const voice = await app.voice();
    voice.say("Be");
    await tab.shows("Be");
    expect(await tab.call("stop")).toBe(true);
    const [, answer] = await app.expectShown(chatId, tab);
    expect(voice.signal?.aborted).toBe(true);
    expect(await tab.call("stop")).toBe(false);
    const isUnfinished = () =>
      tab.page.evaluate(() => {
        const { results, isUnfinished } = globalThis as never as {
          results: Results;
          isUnfinished(of: object): boolean;
        };
        return results.chat.messages.map((message) => isUnfinished(message));
      });
    expect(answer?.parts.at(-1)).toMatchObject({ text: "Be", state: "streaming" });
    expect(await isUnfinished()).toEqual([false, true]);
    await tab.page.reload();
    await tab.show({ chat: { id: chatId } });
    await app.expectShown(chatId, tab);
    expect(await isUnfinished()).toEqual([false, true]);
  });

  test("while the question is submitted stops the turn", async ({ open }) => {
    const app = await open({}, versions);
    const chatId = await app.addChat();
    const tab = await app.openTab({ chat: { id: chatId } });
    await app.expectShown(chatId, tab);
    const held = app.hold(/^POST/);
    await tab.ask("Why?");
    await eventually("the question is on its way", () => held.held.length === 1);
    const stopped = tab.call("stop");
    await eventually("the server is asked to stop", () => app.requests.some((name) => name.startsWith("DELETE")));
    held.release();
    expect(await stopped).toBe(true);
    await app.expectShown(chatId, tab);
    expect((await tab.read()).texts).toEqual(["Hi", "Hello.", "Why?"]);
  });
});

describe.concurrent("Stop", () => {
  test("of an answer that was resumed, and in another tab", async ({ open }) => {
    const app = await open();
    const chatId = randomUUID();
    const asking = await app.openTab({ chat: { id: chatId, page: null } });
    await asking.ask("Why?");
    const voice = await app.voice();
    voice.say("Be");
    await asking.shows("Be");
    const resumed = await app.openTab({ chat: { id: chatId } });
    await resumed.shows("Be");
    expect(await resumed.call("stop")).toBe(true);
    await app.expectShown(chatId, resumed);
    await app.expectShown(chatId, asking);
  });

  test("rejects when the server does not respond, and the page stops listening", async ({ open }) => {
    const app = await open();
    const { chatId, tab, voice } = await beginAnswer(app);
    const server = app.refuse(/^DELETE/, 503, "unavailable");
    await expect(tab.call("stop")).rejects.toThrow("So it is.");
    await tab.until("it listens no more", ({ status }) => status === "ready" || status === "streaming");
    server.accept();
    voice.say("cause.");
    voice.finish();
    await tab.comeBack();
    await app.expectShown(chatId, tab);
    expect((await tab.read()).texts.at(-1)).toBe("Because.");
  });

  test("an answer whose server has died is unfinished", async ({ open }) => {
    const app = await open();
    const { chatId, tab, voice } = await beginAnswer(app);
    const watching = await app.openTab({ chat: { id: chatId } });
    // From the recording, so that it is there.
    await watching.shows("Be");
    await app.die();
    await app.expectShown(chatId, tab);
    await app.expectShown(chatId, watching);
    const { messages } = await tab.read();
    expect(messages.at(-1)?.parts.at(-1)).toMatchObject({ text: "Be", state: "streaming" });
    voice.finish();
  });
});

interface Results {
  chat: { messages: object[] };
}

import { randomUUID } from "node:crypto";
import { describe, expect } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type App, beginAnswer, test } from "../support/react-page.ts";

describe.concurrent("useStoredChat", () => {
  async function openStreaming(open: () => Promise<App>) {
    const app = await open();
    return { app, ...(await beginAnswer(app)) };
  }

  test("joins the answer when the server was away for longer than some tries", async ({ open }) => {
    const { app, chatId, tab, voice } = await openStreaming(open);
    await app.server.close();
    await tab.until("the connection is lost", ({ error }) => error?.code === "network");
    await tab.until("it has tried, in vain", ({ loadError }) => loadError?.code === "network");
    const before = app.requests.length;
    // A proxy that has no server responds.
    const server = app.refuse(/./, 502);
    await app.server.comeBack();
    await eventually("it tries again", () => app.requests.length >= before + 2);
    expect(await tab.read()).toMatchObject({ status: "error", texts: ["Hi", "Hello.", "Why?", "Be"] });
    server.accept();
    await tab.until("it receives the answer again", ({ status }) => status === "streaming");
    voice.say("cause.");
    voice.finish();
    await app.expectShown(chatId, tab);
    expect((await tab.read()).loadError).toBe(undefined);
    expect(app.voices).toHaveLength(1);
  });

  test("joins the answer when the browser is online again", async ({ open }) => {
    const { app, chatId, tab, voice } = await openStreaming(open);
    await app.context.setOffline(true);
    app.server.disconnect();
    await tab.until("the connection is lost", ({ error }) => error?.code === "network");
    voice.say("cause.");
    voice.finish();
    await eventually("the answer is stored", app.isIdle);
    await tab.until("it has tried, in vain", ({ loadError }) => loadError?.code === "network");
    expect((await tab.read()).texts).toEqual(["Hi", "Hello.", "Why?", "Be"]);
    await app.context.setOffline(false);
    await app.expectShown(chatId, tab);
    expect((await tab.read()).texts.at(-1)).toBe("Because.");
  });

  test("sends a question that was asked offline only when the user asks again", async ({ open }) => {
    const app = await open();
    const chatId = randomUUID();
    const tab = await app.openTab({ chat: { id: chatId, page: null } });
    await app.context.setOffline(true);
    await tab.ask("Why?");
    await tab.until("it has failed", ({ error }) => error?.code === "network");
    expect(await tab.read()).toMatchObject({ texts: ["Why?"], chat: null, loadStatus: "loaded" });
    await app.context.setOffline(false);
    await tab.call("reload");
    expect(await tab.read()).toMatchObject({ texts: ["Why?"], status: "error", chat: null, loadStatus: "loaded" });
    await tab.begin("regenerate");
    const voice = await app.voice();
    voice.say("Because.");
    voice.finish();
    await app.expectShown(chatId, tab);
  });

  test("finds out that the server has stored a question whose response was lost", async ({ open }) => {
    const app = await open();
    const chatId = await app.addChat();
    const tab = await app.openTab({ chat: { id: chatId } });
    await app.expectShown(chatId, tab);
    app.intercept(async (request, next) => {
      const response = await next(request);
      if (request.method !== "POST") return response;
      await app.server.close();
      return response;
    });
    await tab.ask("Why?");
    const voice = await app.voice();
    voice.say("Be");
    await tab.until("the connection is lost", ({ error }) => error?.code === "network");
    await app.server.comeBack();
    await tab.shows("Be");
    voice.say("cause.");
    voice.finish();
    await app.expectShown(chatId, tab);
    expect(app.voices).toHaveLength(1);
  });

  test("shows all that happened while the page was hidden", async ({ open }) => {
    const { app, chatId, tab, voice } = await openStreaming(open);
    const hide = (state: string) =>
      tab.page.evaluate(
        (state) =>
          new Function(
            "state",
            "Object.defineProperty(document, 'visibilityState', { value: state, configurable: true })",
          )(state),
        state,
      );
    await hide("hidden");
    await tab.comeBack();
    app.server.disconnect();
    await tab.hasLostConnection();
    voice.say("cause.");
    voice.finish();
    await eventually("the answer is stored", app.isIdle);
    await hide("visible");
    await tab.comeBack();
    await app.expectShown(chatId, tab);
  });
});

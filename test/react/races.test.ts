import { randomUUID } from "node:crypto";
import type { UIMessage } from "ai";
import { describe, expect } from "vitest";
import { z } from "zod";
import { eventually } from "../support/eventually.ts";
import { type App, type AppOptions, test } from "../support/react-page.ts";

type Open = (options?: AppOptions) => Promise<App>;

async function openChat(open: Open, options?: AppOptions, more: object = {}) {
  const app = await open(options);
  const chatId = await app.addChat();
  const tab = await app.openTab({ chat: { id: chatId, ...more } });
  await app.expectShown(chatId, tab);
  return { app, chatId, tab };
}

/** The server stores the question, and the connection breaks before it responds. */
function loseNextResponse(app: App) {
  app.intercept(async (request, next) => {
    const response = await next(request);
    if (request.method === "POST") await app.server.close();
    return response;
  });
}

describe.concurrent("useStoredChat", () => {
  test.for([true, false])("plans to ask again only while the user is there (%s)", async (isThere, { open }) => {
    const { app, tab } = await openChat(open);
    await tab.page.evaluate(
      "delays = []; setTimer = setTimeout; setTimeout = (run, delay) => { delays.push(delay); return setTimer(run, delay); }",
    );
    const held = app.hold(/^POST/);
    await tab.ask("Why?");
    await eventually("the question is on its way", () => held.held.length === 1);
    if (!isThere) await tab.show({ chat: null });
    // Not only disconnected: Chromium would send the request again by itself.
    await app.server.close();
    await eventually("it has failed", async () => (await tab.heard()).some((what) => what.startsWith("finish")));
    const delays = await tab.page.evaluate("delays");
    if (isThere) expect(delays).toContain(500);
    else expect(delays).not.toContain(500);
  });

  test("ends the request of an answer that has no word yet when the user leaves", async ({ open }) => {
    const { app, chatId, tab } = await openChat(open);
    const other = await app.openTab({ chat: { id: chatId } });
    await app.expectShown(chatId, other);
    await tab.ask("Why?");
    const voice = await app.voice();
    await other.until("it shows the question", ({ texts }) => texts.at(-1) === "Why?");
    await eventually("it joins", () => [...app.inFlight].some((name) => name.includes("/stream?version=2")));
    await other.show({ chat: null });
    await eventually("its request has ended", () => app.inFlight.size === 1);
    await tab.show({ chat: null });
    await eventually("no request is under way", () => app.inFlight.size === 0);
    expect(voice.signal?.aborted).toBe(false);
    voice.say("Because.");
    voice.finish();
    await tab.show({ again: { id: chatId } });
    await app.expectShown(chatId, tab, "again");
  });

  test("ends the request that waits for the first word of an answer that is generated again", async ({ open }) => {
    const { app, chatId, tab } = await openChat(open);
    const other = await app.openTab({ chat: { id: chatId } });
    await app.expectShown(chatId, other);
    const regenerating = tab.call("regenerate");
    const voice = await app.voice();
    await eventually("the other tab joins", () => app.inFlight.size === 2);
    expect((await other.read()).texts).toEqual(["Hi", "Hello."]);
    await other.show({ chat: null });
    await eventually("its request has ended", () => app.inFlight.size === 1);
    voice.say("Hello!");
    voice.finish();
    await regenerating;
    await app.expectShown(chatId, tab);
  });

  test("shows what another device has changed right after the page's own answer", async ({ open }) => {
    const { app, chatId, tab } = await openChat(open);
    const device = await app.openDevice({ chat: { id: chatId } });
    await device.ready();
    await device.ask("Elsewhere?");
    const voice = await app.voice();
    voice.say("Elsewhere.");
    voice.finish();
    await app.expectShown(chatId, device);
    await tab.ask("Here?");
    const next = await app.voice(2);
    next.say("Here.");
    next.finish();
    await app.expectShown(chatId, tab);
    expect((await tab.read()).texts).toEqual(["Hi", "Hello.", "Elsewhere?", "Elsewhere.", "Here?", "Here."]);
  });

  test("knows its question also if the server has changed the text, when the response was lost", async ({ open }) => {
    const part = z.object({ type: z.literal("text"), text: z.string().trim() });
    const message = z.looseObject({ parts: z.array(part) }) as never;
    const { app, chatId, tab } = await openChat(open, { message });
    loseNextResponse(app);
    await tab.ask("  Why?");
    const voice = await app.voice();
    await tab.until("the connection is lost", ({ error }) => error?.code === "network");
    app.intercept((request, next) => next(request));
    await app.server.comeBack();
    voice.say("Because.");
    await tab.shows("Because.");
    voice.finish();
    await app.expectShown(chatId, tab);
    expect(app.voices).toHaveLength(1);
  });

  test("does not join an answer again that the user wanted to stop, until the chat is loaded", async ({ open }) => {
    const { app, chatId, tab } = await openChat(open);
    await tab.ask("Why?");
    const voice = await app.voice();
    voice.say("Be");
    await tab.shows("Be");
    const server = app.refuse(/^DELETE/, 503, "unavailable");
    await expect(tab.call("stop")).rejects.toThrow("So it is.");
    await tab.ready();
    await eventually("its request has ended", () => app.inFlight.size === 0);
    expect((await tab.read()).texts.at(-1)).toBe("Be");
    server.accept();
    await tab.call("reload");
    voice.say("cause.");
    await tab.shows("Because.");
    voice.finish();
    await app.expectShown(chatId, tab);
  });

  test("keeps the answer when the messages cannot be loaded while it is generated again elsewhere", async ({
    open,
  }) => {
    const { app, chatId, tab } = await openChat(open);
    const other = await app.openDevice({ chat: { id: chatId } });
    await other.ready();
    await other.begin("regenerate");
    const voice = await app.voice();
    voice.say("Hello!");
    await other.shows("Hello!");
    let count = 0;
    app.intercept(async (request, next) => {
      // The refresh before it joins, and not the one after it.
      const isLoad = request.method === "GET" && !request.url.includes("/stream");
      if (isLoad && ++count === 2) return new Response("", { status: 500 });
      return next(request);
    });
    await tab.comeBack();
    await tab.until("the load has failed", ({ loadError }) => loadError?.code === "failed");
    expect(await tab.read()).toMatchObject({ texts: ["Hi", "Hello."], status: "ready" });
    await tab.call("reload");
    await tab.shows("Hello!");
    voice.finish();
    await app.expectShown(chatId, tab);
  });

  test("keeps the first question of a chat that is being looked for", async ({ open }) => {
    const app = await open();
    const chatId = randomUUID();
    const held = app.hold(/^GET/);
    const tab = await app.openTab({ chat: { id: chatId } });
    const server = app.refuse(/^POST/, 503, "unavailable");
    await tab.ask("Why?");
    await tab.until("it has failed", ({ error }) => error?.code === "unavailable");
    held.release();
    await tab.until("there is no such chat", ({ loadStatus }) => (loadStatus as string) === "missing");
    expect(await tab.read()).toMatchObject({ texts: ["Why?"], status: "error" });
    server.accept();
    await tab.begin("regenerate");
    const voice = await app.voice();
    voice.say("Because.");
    voice.finish();
    await app.expectShown(chatId, tab);
  });

  test("shows the newest title when an older response arrives after it", async ({ open }) => {
    const { app, chatId, tab } = await openChat(open);
    await tab.ask("Why?");
    const voice = await app.voice();
    voice.say("Because.");
    await tab.shows("Because.");
    let release: (() => void) | undefined;
    app.intercept(async (request, next) => {
      const response = await next(request);
      if (!request.url.includes("limit=2") || release) return response;
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return response;
    });
    voice.finish();
    await eventually("the old title is read", () => release);
    const other = await app.openTab({ list: { list: true } });
    await other.call("update", [chatId, { title: "New" }], "list");
    await tab.until("it shows the title", ({ chat }) => chat?.title === "New");
    const late = tab.page.waitForResponse(/limit=2/);
    release?.();
    await (await late).finished();
    await app.expectShown(chatId, tab);
    expect((await tab.read()).chat?.title).toBe("New");
  });

  test.for(["failed", "loading"])(
    "shows the whole chat after a question on a page that is %s",
    async (state, { open }) => {
      const app = await open();
      const chatId = await app.addChat();
      const held = state === "loading" ? app.hold(/^GET [^?]*$/) : undefined;
      const server = state === "failed" ? app.refuse(/^GET/, 500, "failed") : undefined;
      const tab = await app.openTab({ chat: { id: chatId } });
      await tab.until("it is so", ({ loadStatus }) => loadStatus === state);
      await tab.ask("Why?");
      const voice = await app.voice();
      voice.say("Because.");
      await tab.shows("Because.");
      held?.release();
      server?.accept();
      voice.finish();
      await app.expectShown(chatId, tab);
      expect((await tab.read()).texts).toEqual(["Hi", "Hello.", "Why?", "Because."]);
    },
  );

  test("in two tabs that run the same client tool shows one answer, and no error in the end", async ({ open }) => {
    const tools = { whereAmI: { inputSchema: z.object({}) } };
    const { app, chatId, tab } = await openChat(open, { tools }, { sendAutomatically: "calls" });
    const other = await app.openTab({ chat: { id: chatId, sendAutomatically: "calls" } });
    await app.expectShown(chatId, other);
    for (const { page } of [tab, other]) await page.evaluate("Object.assign(outputs, { t1: 'Hamburg' })");
    await tab.ask("Where am I?");
    const voice = await app.voice();
    voice.say("Let me see. ");
    await other.shows("Let me see. ");
    voice.call("whereAmI", "t1");
    voice.finish("tool-calls");
    const next = await app.voice(2);
    next.say("In Hamburg.");
    for (const page of [tab, other]) await page.shows("Let me see. In Hamburg.");
    next.finish();
    for (const page of [tab, other]) await app.expectShown(chatId, page);
    expect(app.voices).toHaveLength(2);
    const isAnswered = ({ parts }: UIMessage) => parts.some((part) => "output" in part && part.output === "Hamburg");
    expect((await app.stored(chatId)).some(isAnswered)).toBe(true);
  });
});

import { describe, expect } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type App, beginAnswer, matrix, test } from "../support/react-page.ts";

type Open = (options?: object, versions?: (typeof matrix)[number]) => Promise<App>;

async function openStreaming(open: Open, versions?: (typeof matrix)[number]) {
  const app = await open({}, versions);
  const { chatId, tab, voice } = await beginAnswer(app);
  return {
    app,
    chatId,
    tab,
    /** The answer is joined, and shown to its end. */
    async expectJoined() {
      voice.say("cause.");
      await tab.shows("Because.");
      voice.finish();
      await app.expectShown(chatId, tab);
      expect((await tab.read()).isReconnecting).toBe(false);
      expect(app.voices).toHaveLength(1);
    },
  };
}

describe.concurrent("A lost answer", () => {
  test.for(matrix)(
    "is joined after the server has failed to give it, with React $react and ai $ai",
    async (versions, { open }) => {
      const { app, tab, expectJoined } = await openStreaming(open, versions);
      let count = 0;
      app.intercept(async (request, next) => {
        if (!request.url.includes("/stream")) return next(request);
        count += 1;
        return count > 2 ? next(request) : new Response("", { status: 500 });
      });
      app.server.disconnect();
      await eventually("it tries again", () => count > 2);
      await expectJoined();
      const texts = (await tab.commits()).map(({ texts }) => texts.at(-1));
      expect(texts.slice(texts.indexOf("Be"))).not.toContain("Hello.");
    },
  );

  test("is not asked for again while the user is signed out", async ({ open }) => {
    const { app, tab, expectJoined } = await openStreaming(open);
    const server = app.refuse(/./, 401, "unauthorized");
    app.server.disconnect();
    await tab.until(
      "it has given up",
      ({ loadError, isReconnecting }) => loadError?.code === "unauthorized" && !isReconnecting,
    );
    expect(await tab.read()).toMatchObject({ status: "error", texts: ["Hi", "Hello.", "Why?", "Be"] });
    server.accept();
    await tab.comeBack();
    await expectJoined();
  });

  test("is joined although the application's own onError throws", async ({ open }) => {
    const { app, tab, expectJoined } = await openStreaming(open);
    app.allowComplaint("The application's own.");
    await tab.page.evaluate("failing = 'onError'");
    app.server.disconnect();
    await eventually("it is called", async () => (await tab.heard()).includes("error network"));
    await expectJoined();
  });

  test("is asked for no sooner than the server wants", async ({ open }) => {
    const { app, tab, expectJoined } = await openStreaming(open);
    await tab.page.evaluate(
      "delays = []; setTimer = setTimeout; setTimeout = (run, delay) => { delays.push(delay); return setTimer(run, delay === 7000 ? 0 : delay); }",
    );
    const server = app.refuse(/^GET/, 503, "unavailable", { "retry-after": "7" });
    app.server.disconnect();
    await eventually("it waits", async () => (await tab.page.evaluate<number[]>("delays")).includes(7_000));
    server.accept();
    await expectJoined();
  });
});

import { describe, expect } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type App, say, test } from "../support/react-page.ts";

/** Holds the answer to the next request for the list, which the server has read by then. */
function holdNextList(app: App) {
  let release = () => {};
  const held: string[] = [];
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  app.intercept(async (request, next) => {
    const response = await next(request);
    if (request.method === "GET" && held.push(request.url) === 1) await released;
    return response;
  });
  return { held, release: () => release() };
}

describe.concurrent("useChats", () => {
  async function openList(open: () => Promise<App>) {
    const app = await open();
    const ids: string[] = [];
    for (const title of ["1", "2", "3", "4"]) ids.push(await app.addChat([say("user", title)], title));
    const tab = await app.openTab({ list: { list: true, pageSize: 2 } });
    await tab.until("it is loaded", ({ chats }) => chats.length === 2, "list");
    await tab.call("refetch", [], "list");
    const titles = async () => (await tab.read("list")).chats.map(({ title }) => title);
    return { app, ids, tab, titles };
  }

  test("keeps a page that was loaded while the list was loaded again", async ({ open }) => {
    const { app, tab, titles } = await openList(open);
    const list = holdNextList(app);
    const refetched = tab.call("refetch", [], "list");
    await eventually("the server has read the list", () => list.held.length === 1);
    await tab.call("loadMore", [], "list");
    expect(await titles()).toEqual(["4", "3", "2", "1"]);
    list.release();
    await refetched;
    expect(await titles()).toEqual(["4", "3", "2", "1"]);
    expect((await tab.read("list")).hasMore).toBe(false);
  });

  test("loses no chat when the list changes while a page is loaded", async ({ open }) => {
    const { app, ids, tab, titles } = await openList(open);
    const list = holdNextList(app);
    const loaded = tab.call("loadMore", [], "list");
    await eventually("the server has read the page", () => list.held.length === 1);
    await app.store.upsertChat({ userId: app.userId, chatId: ids[0] as string, messages: [say("user", "New")] });
    await tab.call("refetch", [], "list");
    expect(await titles()).toEqual(["1", "4"]);
    list.release();
    await loaded;
    expect(await titles()).toEqual(["1", "4", "3", "2"]);
  });

  test("keeps all pages also if they are more than the server gives at once", async ({ open }) => {
    const { app, tab, titles } = await openList(open);
    // The handler's limit is 1,000.
    app.intercept((request, next) => {
      const url = new URL(request.url);
      if (Number(url.searchParams.get("limit")) > 2) url.searchParams.set("limit", "2");
      return next(new Request(url, request));
    });
    await tab.call("loadMore", [], "list");
    await tab.call("refetch", [], "list");
    expect(await titles()).toEqual(["4", "3", "2", "1"]);
  });

  test("never shows given chats among the archived ones", async ({ open }) => {
    const { app, ids, tab } = await openList(open);
    await app.store.updateChat({ userId: app.userId, chatId: ids[0] as string, archived: true });
    const chats = await app.store.getChats({ userId: app.userId });
    await tab.show({ given: { list: true, chats } });
    await tab.show({ given: { list: true, chats, archived: true } });
    await tab.until("it shows the archived one", ({ chats }) => chats.length === 1, "given");
    await tab.show({ given: { list: true, chats } });
    const shown = (await tab.commits("given")).map(({ titles }) => titles.join());
    expect(new Set(shown)).toEqual(new Set(["4,3,2", "", "1"]));
  });
});

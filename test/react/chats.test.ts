import { describe, expect } from "vitest";
import type { ChatRequestError } from "../../src/client.ts";
import { eventually } from "../support/eventually.ts";
import { type App, matrix, say, type Tab, test } from "../support/react-page.ts";

const listsOf = ({ requests }: App) => requests.filter((request) => /^GET \?/.test(request));
const titlesOf = (tab: Tab) => tab.read("list").then(({ chats }) => chats.map(({ title }) => title));
const showsTitles = (tab: Tab, ...titles: string[]) =>
  tab.until(`it shows ${titles}`, ({ chats }) => chats.map(({ title }) => title).join() === titles.join(), "list");

async function addChats(app: App, ...titles: string[]) {
  const ids: string[] = [];
  for (const title of titles) ids.push(await app.addChat([say("user", title)], title));
  return ids;
}

/** Strict mode loads a list twice. This further load begins when those have ended. */
const strictLoadEnded = (tab: Tab) => tab.call("refetch", [], "list");

const client = (tab: Tab, method: string, ...parameters: unknown[]) =>
  tab.page.evaluate(
    ([method, parameters]) =>
      (globalThis as never as { client: Methods }).client[method as string]?.(...(parameters as unknown[])),
    [method, parameters] as const,
  );

type Methods = Record<string, (...parameters: unknown[]) => Promise<unknown>>;

describe.concurrent.each(matrix)("useChats with React $react and ai $ai", (versions) => {
  test("shows a rename, an archive and a removal at once", async ({ open }) => {
    const app = await open({}, versions);
    const [one, two, three] = await addChats(app, "One", "Two", "Three");
    const tab = await app.openTab({ list: { list: true } });
    await showsTitles(tab, "Three", "Two", "One");
    const held = app.hold(/^(PATCH|DELETE)/);
    const changes = [
      tab.call("update", [two, { title: "2" }], "list"),
      tab.call("update", [three, { archived: true }], "list"),
      tab.call("remove", [one], "list"),
    ];
    await showsTitles(tab, "2");
    held.release();
    expect(await Promise.all(changes)).toEqual([
      expect.objectContaining({ title: "2" }),
      expect.objectContaining({ archivedAt: expect.any(Date) }),
      true,
    ]);
    await tab.call("refetch", [], "list");
    expect(await titlesOf(tab)).toEqual(["2"]);
    await tab.show({ list: { list: true, archived: true } });
    await showsTitles(tab, "Three");
  });
});

describe.concurrent("useChats", () => {
  test("shows given chats at once, and then what has changed since", async ({ open }) => {
    const app = await open();
    await addChats(app, "One", "Two");
    const chats = await app.store.getChats({ userId: app.userId });
    await addChats(app, "Three");
    const tab = await app.openTab({ list: { list: true, chats } });
    const [first] = await tab.commits("list");
    expect(first).toMatchObject({ titles: ["Two", "One"] });
    await showsTitles(tab, "Three", "Two", "One");
    expect(await tab.read("list")).toMatchObject({ loadStatus: "loaded", hasMore: false });
  });

  test("loads further pages in order, once for two clicks, and keeps them", async ({ open }) => {
    const app = await open();
    await addChats(app, "1", "2", "3", "4", "5");
    const tab = await app.openTab({ list: { list: true, pageSize: 2 } });
    await showsTitles(tab, "5", "4");
    await strictLoadEnded(tab);
    app.requests.length = 0;
    await Promise.all([tab.call("loadMore", [], "list"), tab.call("loadMore", [], "list")]);
    expect(await titlesOf(tab)).toEqual(["5", "4", "3", "2"]);
    expect(listsOf(app)).toHaveLength(1);
    await tab.call("loadMore", [], "list");
    expect(await tab.read("list")).toMatchObject({ hasMore: false, isLoadingMore: false });
    await addChats(app, "6");
    await tab.call("refetch", [], "list");
    expect(await titlesOf(tab)).toEqual(["6", "5", "4", "3", "2", "1"].slice(0, 5));
    await tab.call("loadMore", [], "list");
    expect(await titlesOf(tab)).toEqual(["6", "5", "4", "3", "2", "1"]);
  });

  test("loads further pages of a list that the server has given", async ({ open }) => {
    const app = await open();
    await addChats(app, "1", "2", "3");
    const chats = await app.store.getChats({ userId: app.userId, limit: 2 });
    const tab = await app.openTab({ list: { list: true, pageSize: 2, chats } });
    expect(await tab.read("list")).toMatchObject({ hasMore: true });
    await tab.call("loadMore", [], "list");
    expect(await titlesOf(tab)).toEqual(["3", "2", "1"]);
  });

  test("takes back what the server refuses, and rejects", async ({ open }) => {
    const app = await open();
    const [one, two] = await addChats(app, "One", "Two");
    const tab = await app.openTab({ list: { list: true } });
    await showsTitles(tab, "Two", "One");
    app.refuse(/^(PATCH|DELETE)/, 503, "unavailable");
    const refused = { name: "ChatRequestError", code: "unavailable", isRetryable: true };
    const failure = (method: string, ...parameters: unknown[]) =>
      tab.page.evaluate(
        async ([method, parameters]) => {
          const { results } = globalThis as never as { results: { list: Methods } };
          const error = await results.list[method as string]?.(...(parameters as unknown[])).catch(
            (error: Error) => error,
          );
          const { name, code, isRetryable } = error as ChatRequestError;
          return { name, code, isRetryable };
        },
        [method, parameters] as const,
      );
    for (const changes of [{ title: "1" }, { archived: true }, { metadata: { color: "red" } }]) {
      expect(await failure("update", one, changes)).toEqual(refused);
      expect(await titlesOf(tab)).toEqual(["Two", "One"]);
    }
    expect(await failure("remove", two)).toEqual(refused);
    expect(await titlesOf(tab)).toEqual(["Two", "One"]);
  });

  test("keeps the later one of two changes of a chat, whichever the server refuses", async ({ open }) => {
    const app = await open();
    const [one] = await addChats(app, "One");
    const tab = await app.openTab({ list: { list: true } });
    await showsTitles(tab, "One");
    // By their titles: two connections may bring the requests in another order than they were sent.
    const arrived: unknown[] = [];
    app.intercept(async (request, next) => {
      if (request.method !== "PATCH") return next(request);
      const { title } = (await request.clone().json()) as { title: string };
      arrived.push(title);
      if (title !== "First") return next(request);
      await eventually("the second is here", () => arrived.includes("Second"));
      return new Response("", { status: 503 });
    });
    const first = tab.call("update", [one, { title: "First" }], "list").catch(() => "refused");
    await showsTitles(tab, "First");
    const second = tab.call("update", [one, { title: "Second" }], "list");
    await showsTitles(tab, "Second");
    expect(await first).toBe("refused");
    await second;
    expect(await titlesOf(tab)).toEqual(["Second"]);
    const commits = await tab.commits("list");
    const titles = commits.flatMap(({ titles }) => titles);
    expect(titles.slice(titles.indexOf("Second"))).not.toContain("One");
  });

  test("a list that was asked for before a change does not bring the old title back", async ({ open }) => {
    const app = await open();
    const [one] = await addChats(app, "One");
    const tab = await app.openTab({ list: { list: true } });
    await showsTitles(tab, "One");
    let release = () => {};
    const answered: string[] = [];
    app.intercept(async (request, next) => {
      const response = await next(request);
      if (request.method === "GET") {
        answered.push(request.url);
        if (answered.length === 1) await new Promise<void>((resolve) => (release = resolve));
      }
      return response;
    });
    const refetched = tab.call("refetch", [], "list");
    await eventually("the old list is read", () => answered.length === 1);
    await tab.call("update", [one, { title: "1" }], "list");
    release();
    await refetched;
    expect(await titlesOf(tab)).toEqual(["1"]);
    const titles = (await tab.commits("list")).flatMap(({ titles }) => titles);
    expect(titles.slice(titles.indexOf("1"))).not.toContain("One");
  });

  test("follows other tabs, with one request for a change", async ({ open }) => {
    const app = await open();
    const [one, two] = await addChats(app, "One", "Two");
    const tab = await app.openTab({ list: { list: true } });
    await showsTitles(tab, "Two", "One");
    await strictLoadEnded(tab);
    const other = await app.openTab();
    app.requests.length = 0;
    await client(other, "update", one, { title: "1" });
    await showsTitles(tab, "Two", "1");
    await client(other, "fork", two, { title: "Copy" });
    await showsTitles(tab, "Copy", "Two", "1");
    await client(other, "delete", two);
    await showsTitles(tab, "Copy", "1");
    expect(listsOf(app)).toHaveLength(3);
    await addChats(app, "Elsewhere");
    await tab.comeBack();
    await showsTitles(tab, "Elsewhere", "Copy", "1");
    await addChats(app, "Later");
    await tab.comeOnline();
    await showsTitles(tab, "Later", "Elsewhere", "Copy", "1");
    expect(listsOf(app)).toHaveLength(5);
  });

  test("one own change costs at most one request for the list", async ({ open }) => {
    const app = await open();
    const [one, two] = await addChats(app, "One", "Two");
    const tab = await app.openTab({ list: { list: true } });
    await showsTitles(tab, "Two", "One");
    await strictLoadEnded(tab);
    app.requests.length = 0;
    await tab.call("update", [one, { title: "1" }], "list");
    await tab.call("refetch", [], "list");
    expect(listsOf(app).length).toBeLessThanOrEqual(2);
    app.requests.length = 0;
    await tab.call("remove", [two], "list");
    await tab.call("refetch", [], "list");
    expect(listsOf(app).length).toBeLessThanOrEqual(2);
    expect(await titlesOf(tab)).toEqual(["1"]);
  });

  test("brings a chat to the front when it is asked in the same page", async ({ open }) => {
    const app = await open();
    const [one] = await addChats(app, "One", "Two");
    const tab = await app.openTab({ list: { list: true }, chat: { id: one } });
    await tab.ready();
    await tab.ask("Why?");
    const voice = await app.voice();
    voice.say("Because.");
    await showsTitles(tab, "One", "Two");
    voice.finish();
    await app.expectShown(one as string, tab);
  });

  test("a first load that fails is failed, and a later one keeps the list", async ({ open }) => {
    const app = await open();
    await addChats(app, "One");
    const server = app.refuse(/^GET/, 500, "failed");
    const tab = await app.openTab({ list: { list: true } });
    await tab.until("it has failed", ({ loadStatus }) => loadStatus === "failed", "list");
    expect(await tab.read("list")).toMatchObject({ chats: [], loadError: { code: "failed" } });
    server.accept();
    await tab.comeBack();
    await showsTitles(tab, "One");
    expect(await tab.read("list")).toMatchObject({ loadStatus: "loaded", loadError: undefined });
    app.refuse(/^GET/, 500, "failed");
    await tab.call("refetch", [], "list");
    expect(await tab.read("list")).toMatchObject({ loadStatus: "loaded", loadError: { code: "failed" } });
    expect(await titlesOf(tab)).toEqual(["One"]);
  });

  test("unarchives out of the list of archived chats, which is one of its own", async ({ open }) => {
    const app = await open();
    const [one] = await addChats(app, "One", "Two");
    await app.store.updateChat({ userId: app.userId, chatId: one as string, archived: true });
    const tab = await app.openTab({ list: { list: true, archived: true }, other: { list: true } });
    await showsTitles(tab, "One");
    await tab.call("update", [one, { archived: false }], "list");
    expect(await titlesOf(tab)).toEqual([]);
    await tab.until("it is in the other one", ({ chats }) => chats.length === 2, "other");
    await tab.show({ list: { list: true } });
    await showsTitles(tab, "Two", "One");
    for (const { titles } of await tab.commits("other")) expect(titles.length).toBeLessThanOrEqual(2);
  });
});

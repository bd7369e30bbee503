import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { UIMessage } from "ai";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import type { ChatClient, ChatClientOptions } from "../../src/client.ts";
import { say, textOf } from "../support/conversations.ts";
import { liveChats } from "../support/live-chat.ts";
import { sdks } from "../support/sdks.ts";

describe.each(sdks)("The client's methods with $name", (sdk) => {
  const open = liveChats(sdk);

  test("list gives each chat once, in pages, and archived ones apart", async () => {
    const chat = await open({ userId: () => "lister" });
    for (const id of ["a", "b", "c", "d", "e"]) {
      await chat.store.upsertChat({ userId: "lister", chatId: `list-${id}`, title: id, messages: [] });
    }
    await chat.client.update("list-c", { archived: true });
    const first = await chat.client.list({ limit: 3 });
    const second = await chat.client.list({ limit: 3, cursor: first.cursor ?? undefined });
    expect([...first.chats, ...second.chats].map(({ title }) => title)).toEqual(["e", "d", "b", "a"]);
    expect(second.cursor).toBe(null);
    const archived = await chat.client.list({ archived: true });
    expect(archived.chats.map(({ id }) => id)).toEqual(["list-c"]);
    const stored = await chat.store.getChats({ userId: "lister", archived: true });
    expect(stored.map(({ userId: _, ...others }) => others)).toEqual(archived.chats);
    expect(archived.chats[0]?.archivedAt).toBeInstanceOf(Date);
    expect(first.chats[0]?.archivedAt).toBe(null);
    expect(first.chats[0]).not.toHaveProperty("userId");
  });

  test("search gives each match once, in pages", async () => {
    const chat = await open({ userId: () => "searcher" });
    for (const text of ["a tide", "a boat", "the tide", "tides?"]) {
      await chat.store.upsertChat({ userId: "searcher", chatId: text, messages: [say("user", text)] });
    }
    const found: string[] = [];
    let cursor: string | null | undefined;
    while (cursor !== null) {
      const page = await chat.client.search("tide", { limit: 2, cursor });
      for (const { chat } of page.matches) {
        expect(chat.updatedAt).toBeInstanceOf(Date);
        found.push(chat.id);
      }
      cursor = page.cursor;
    }
    expect(found).toEqual(["tides?", "the tide", "a tide"]);
    expect(await chat.client.search("%_")).toEqual({ matches: [], cursor: null });
  });

  test("get gives the last messages, and older ones before a message", async () => {
    const messages = Array.from({ length: 7 }, (_, index) =>
      say(index % 2 ? "assistant" : "user", `${index}`, `m${index}`),
    );
    const chat = await open({ messages });
    const last = await chat.client.get(chat.chatId, { limit: 3 });
    expect(last).toMatchObject({ messages: messages.slice(4), hasMore: true });
    expect(last?.sentAt).toEqual([expect.any(Date), expect.any(Date), expect.any(Date)]);
    expect(last?.chat.createdAt).toBeInstanceOf(Date);
    const older = await chat.client.get(chat.chatId, { limit: 100, before: "m4" });
    expect(older).toMatchObject({ messages: messages.slice(0, 4), hasMore: false });
    await expect(chat.client.get(chat.chatId, { before: "gone" })).rejects.toMatchObject({ code: "conflict" });
    await expect(chat.client.get(chat.chatId, { limit: 0 })).rejects.toMatchObject({ code: "bad_request" });
    expect(await chat.client.get("missing")).toBe(null);
    expect(await chat.createClient({ headers: { "x-user-id": "a stranger" } }).get(chat.chatId)).toBe(null);
  });

  test("update, deleteMessage, fork and delete change the chat, and tell if there is none", async () => {
    const messages = [say("user", "One", "m1"), say("assistant", "Two", "m2"), say("user", "Three", "m3")];
    const chat = await open({ messages, metadata: z.object({ color: z.string() }) });
    const { client, chatId } = chat;
    const updated = await client.update(chatId, { title: "A title", metadata: { color: "red" } });
    expect(updated).toMatchObject({ id: chatId, title: "A title", metadata: { color: "red" }, version: 1 });
    expect(updated?.updatedAt).toBeInstanceOf(Date);
    expect(await client.update(chatId, { metadata: null })).not.toHaveProperty("metadata");

    const copy = await client.fork(chatId, { throughMessageId: "m2", title: "A copy" });
    expect(copy).toMatchObject({ title: "A copy", id: expect.stringMatching(/^\w{32}$/) });
    expect((await client.get(copy?.id as string))?.messages).toEqual(messages.slice(0, 2));
    expect(await client.fork(chatId, { newId: `${chatId} 2` })).toMatchObject({ id: `${chatId} 2`, title: "A title" });
    await expect(client.fork(chatId, { newId: chatId })).rejects.toMatchObject({ code: "conflict", status: 409 });
    expect(await client.fork(chatId, { throughMessageId: "missing" })).toBe(null);

    expect(await client.deleteMessage(chatId, "m2")).toMatchObject({ version: 2 });
    expect(await chat.stored()).toEqual([messages[0], messages[2]]);
    expect(await client.deleteMessage(chatId, "m1", { following: true })).toMatchObject({ version: 3 });
    expect(await chat.stored()).toEqual([]);
    expect(await client.deleteMessage(chatId, "m1")).toBe(null);

    expect(await client.delete(chatId)).toBe(true);
    expect(await client.delete(chatId)).toBe(false);
    expect(await client.update(chatId, { title: "Gone" })).toBe(null);
    expect(await client.fork(chatId)).toBe(null);
  });

  test("fork makes an id where crypto.randomUUID is missing", async () => {
    const chat = await open({ messages: [say("user", "Hi")] });
    const randomUUID = vi.spyOn(crypto, "randomUUID").mockImplementation(() => {
      throw new TypeError("crypto.randomUUID is not a function");
    });
    onTestFinished(() => randomUUID.mockRestore());
    const ids = [await chat.client.fork(chat.chatId), await chat.client.fork(chat.chatId)].map((copy) => copy?.id);
    expect(new Set(ids).size).toBe(2);
    for (const id of ids) expect(id?.length).toBeGreaterThanOrEqual(32);
  });

  const ids = [
    "/",
    "%",
    "%2F",
    "?",
    "#",
    "a space",
    "ü",
    "😀",
    "search",
    "stream",
    "fork",
    "a/../b",
    "...",
    "&=+;,",
    "x".repeat(255),
  ];
  test.each(ids)("%s is an id like any other", async (id) => {
    const chat = await open({ messages: [] });
    const messages = [say("user", "Hi", id), say("assistant", "Hi!", `${id.slice(0, 254)}2`)];
    const { client } = chat;
    await chat.store.upsertChat({ userId: "u", chatId: id, messages });
    const page = await client.get(id, { before: messages[1]?.id });
    expect(page).toMatchObject({ chat: { id }, messages: [messages[0]] });
    expect(await client.update(id, { title: "T" })).toMatchObject({ id });
    expect(await client.stop(id)).toBe(false);
    expect((await client.fork(id, { throughMessageId: id }))?.version).toBe(1);
    expect(await client.deleteMessage(id, id)).toMatchObject({ id });
    const transport = client.transport();
    expect(await transport.reconnectToStream({ chatId: id })).toBe(null);
    expect(await client.delete(id)).toBe(true);
  });

  test.each([".", "..", "", "\ud800"])("%j is no id, and no request is sent for it", async (id) => {
    const chat = await open();
    const fetch = vi.fn(globalThis.fetch);
    const client = chat.createClient({ fetch });
    const calls = [
      client.get(id),
      client.update(id, { title: "T" }),
      client.delete(id),
      client.deleteMessage(id, "m"),
      client.deleteMessage("a", id),
      client.switchBranch(id, "b"),
      client.switchBranch("a", id),
      client.fork(id),
      client.stop(id),
      client.transport().reconnectToStream({ chatId: id }),
    ];
    for (const outcome of await Promise.allSettled(calls)) {
      expect(outcome).toMatchObject({ status: "rejected", reason: { code: "bad_request", status: 0 } });
      expect((outcome as PromiseRejectedResult).reason).toBeInstanceOf(chat.ChatRequestError);
    }
    expect(fetch).not.toHaveBeenCalled();
  });

  test("an aborted request rejects with the reason of its signal", async () => {
    const chat = await open({ messages: [say("user", "Hi")] });
    const calls: ((client: ChatClient, signal: AbortSignal) => Promise<unknown>)[] = [
      (client, signal) => client.list({ signal }),
      (client, signal) => client.search("a", { signal }),
      (client, signal) => client.get(chat.chatId, { signal }),
    ];
    for (const call of calls) {
      await expect(call(chat.client, AbortSignal.abort())).rejects.toMatchObject({ name: "AbortError" });
      const reason = new Error("The user typed on.");
      const controller = new AbortController();
      const client = chat.createClient({
        fetch: (url, init) => {
          queueMicrotask(() => controller.abort(reason));
          return fetch(url, init);
        },
      });
      await expect(call(client, controller.signal)).rejects.toBe(reason);
    }
  });

  test("every request has the headers, the credentials and the fetch of the options", async () => {
    const all: Record<string, ChatClientOptions["headers"]> = {
      object: { "x-user-id": "h" },
      headers: new Headers({ "x-user-id": "h" }),
      function: () => ({ "x-user-id": "h" }),
      "function of Headers": () => new Headers({ "x-user-id": "h" }),
      "async function": async () => ({ "x-user-id": "h" }),
    };
    for (const [name, headers] of Object.entries(all)) {
      const chat = await open();
      const sent: RequestInit[] = [];
      const client = chat.createClient({
        headers,
        credentials: "include",
        fetch: (url, init) => {
          sent.push({ ...init });
          return fetch(url, init);
        },
      });
      const page = await chat.openTab({ isNew: true, client });
      const asked = page.sendMessage({ text: name });
      (await chat.voice()).finish();
      await asked;
      await page.resumeStream();
      expect(page.status).toBe("ready");
      await client.list();
      expect(await client.update(chat.chatId, { title: name })).toMatchObject({ title: name });
      await client.fork(chat.chatId);
      await client.stop(chat.chatId);
      await client.delete(chat.chatId);
      expect(sent).toHaveLength(7);
      for (const { credentials, headers, body } of sent) {
        expect(credentials).toBe("include");
        expect(new Headers(headers).get("x-user-id")).toBe("h");
        expect(new Headers(headers).get("content-type")).toBe(body ? "application/json" : null);
      }
    }
  });

  test("the base path is a path or a URL, with a slash at its end or without", async () => {
    const urls: string[] = [];
    const server = createServer((request, response) => {
      urls.push(request.url ?? "");
      response.writeHead(200, { "content-type": "application/json" }).end('{"chats":[],"cursor":null}');
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close().closeAllConnections());
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { createClient } = await open();
    for (const basePath of [`${origin}/api/chat`, `${origin}/api/chat/`, `${origin}/`, origin]) {
      await createClient({ basePath }).list({ limit: 1 });
    }
    const onPage: typeof fetch = (url, init) => fetch(new URL(String(url), origin), init);
    for (const basePath of [undefined, "/chats/", "/"]) await createClient({ basePath, fetch: onPage }).list();
    expect(urls).toEqual([
      "/api/chat?limit=1",
      "/api/chat?limit=1",
      "/?limit=1",
      "/?limit=1",
      "/api/chat",
      "/chats",
      "/",
    ]);
  });

  test("the body of the transport and of a message arrive together, and never replace the message", async () => {
    const bodies: unknown[] = [];
    const body = z.object({ model: z.string(), deep: z.boolean().optional() });
    const chat = await open({
      body,
      answer: ({ body, modelMessages, abortSignal }) => {
        bodies.push(body);
        return chat.answerWith(modelMessages, abortSignal);
      },
    });
    const options = [{ model: "a" }, () => ({ model: "b" }), async () => ({ model: "c" })];
    for (const [index, body] of options.entries()) {
      const page = await chat.openTab({ body });
      const asked = page.sendMessage({ text: "Hi" }, { body: { deep: true, id: "x", message: "x", trigger: "x" } });
      (await chat.voice(2 * index + 1)).finish();
      await asked;
      const again = page.sendMessage({ text: "Hi" }, { body: { model: "d" } });
      (await chat.voice(2 * index + 2)).finish();
      await again;
      expect(page.error).toBe(undefined);
    }
    const own = ["a", "b", "c"].flatMap((model) => [{ model, deep: true }, { model: "d" }]);
    expect(bodies).toEqual(own);
    expect((await chat.stored()).map((message: UIMessage) => textOf(message))).toEqual(Array(6).fill("Hi"));
  });
});

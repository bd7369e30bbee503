// Isolated: it watches the console.
import { randomUUID } from "node:crypto";
import * as ai from "ai";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createChatHandler } from "../../src/handler.ts";
import { ChatStoreError, createChatStore } from "../../src/index.ts";
import { chunksOf, createHandler, expectError, openTestStore, question, requestTo } from "../support/chat-handler.ts";
import { nodePostgres } from "../support/databases.ts";
import { sdks } from "../support/scripted-sdks.ts";

const used = openTestStore();
const methods = ["debug", "error", "info", "log", "trace", "warn"] as const;
const printed = () => methods.flatMap((method) => vi.mocked(console[method]).mock.calls);
const unhandled: unknown[] = [];
const recordUnhandled = (reason: unknown) => void unhandled.push(reason);

beforeEach(() => {
  for (const method of methods) vi.spyOn(console, method).mockImplementation(() => {});
  process.on("unhandledRejection", recordUnhandled);
});
afterEach(async () => {
  // Node reports unhandled rejections once all waiting work has run.
  await new Promise((resolve) => setImmediate(resolve));
  process.off("unhandledRejection", recordUnhandled);
  vi.restoreAllMocks();
  expect(unhandled).toEqual([]);
});

const thrown = new Error("no database");
const routes: [string, string, string, string, object?][] = [
  ["GET", "/", "/", "getChats"],
  ["GET", "/?search=x", "/", "searchChats"],
  ["POST", "/", "/", "startTurn", { id: "a secret", message: question("Why?") }],
  ["GET", "/a%20secret", "/:id", "getMessages"],
  ["PATCH", "/a%20secret", "/:id", "updateChat", { title: "New" }],
  ["DELETE", "/a%20secret", "/:id", "deleteChat"],
  ["POST", "/a%20secret/fork", "/:id/fork", "forkChat", { id: "y" }],
  ["DELETE", "/a%20secret/messages/y", "/:id/messages/:messageId", "deleteMessage"],
  ["POST", "/a%20secret/branches/y", "/:id/branches/:branchId", "switchBranch"],
  ["GET", "/a%20secret/stream", "/:id/stream", "resumeTurn"],
  ["DELETE", "/a%20secret/stream", "/:id/stream", "stopTurn"],
];

describe("A fault of the server", () => {
  test.each(routes)(
    "in %s %s is 500; onError gets the error once, with the route %s",
    async (method, path, route, call, body) => {
      const store = { ...used.store, [call]: () => Promise.reject(thrown) };
      const { chat, errors } = createHandler(store);
      expect(await expectError(await chat(requestTo(method, path, { body })), "failed")).toBe("Something went wrong.");
      expect(errors).toEqual([{ error: thrown, method, route }]);
      expect(printed()).toEqual([]);
    },
  );

  test.each(routes)("in %s %s is 503 with Retry-After while the database cannot be reached", async (...given) => {
    const [method, path, route, , body] = given;
    const { db } = nodePostgres("postgres://127.0.0.1:1/gone");
    const { chat, errors } = createHandler(createChatStore(db));
    const response = await chat(requestTo(method, path, { body }));
    expect(response.headers.get("retry-after")).toMatch(/^\d+$/);
    await expectError(response, "unavailable");
    expect(errors).toEqual([{ error: expect.any(ChatStoreError), method, route }]);
  });

  test("is printed by default, without an id", async () => {
    const store = { ...used.store, getMessages: () => Promise.reject(thrown) };
    const chat = createChatHandler({ store, userId: () => "u", answer: () => new ReadableStream() });
    await expectError(await chat(requestTo("GET", "/a%20secret")), "failed");
    expect(printed()).toEqual([["GET /:id of the chat handler failed:", thrown]]);
  });

  test.each([
    ["throws", () => expect.fail("no log")],
    // A rejection that nothing handles would end the process.
    ["rejects", () => Promise.reject(new Error("no log"))],
  ])("is a response also if onError %s", async (_, fail) => {
    let calls = 0;
    // Not vi.fn, which handles the rejection.
    const onError = () => {
      calls++;
      return fail();
    };
    const { chat } = createHandler({ ...used.store, getChats: () => Promise.reject(thrown) }, { onError });
    await expectError(await chat(requestTo("GET", "/")), "failed");
    expect(calls).toBe(1);
  });

  test("has no body after HEAD", async () => {
    const { chat, errors } = createHandler({ ...used.store, getChats: () => Promise.reject(thrown) });
    const response = await chat(requestTo("HEAD", "/"));
    expect([response.status, await response.text()]).toEqual([500, ""]);
    expect(errors).toEqual([{ error: thrown, method: "HEAD", route: "/" }]);
  });

  test("in waitUntil ends the turn", async () => {
    const waitUntil = () => {
      throw thrown;
    };
    const { chat, errors } = createHandler(used.store, { waitUntil });
    const id = randomUUID();
    await expectError(await chat(requestTo("POST", "/", { body: { id, message: question("Why?") } })), "failed");
    expect(errors).toEqual([{ error: thrown, method: "POST", route: "/" }]);
    expect((await chat(requestTo("GET", `/${id}/stream`))).status).toBe(204);
  });
});

test("waitUntil gets promises that settle after the answer is stored and the title is given", async () => {
  for (const title of [undefined, async () => "A title"]) {
    const promises: Promise<unknown>[] = [];
    const waitUntil = (promise: Promise<unknown>) => void promises.push(promise);
    const { chat, errors } = createHandler(used.store, { waitUntil, ...(title && { title }) });
    const id = randomUUID();
    // The client does not read.
    const response = await chat(requestTo("POST", "/", { body: { id, message: question("Why?") } }));
    await response.body?.cancel();
    expect(promises).toHaveLength(title ? 2 : 1);
    for (const promise of promises) expect(promise).toBeInstanceOf(Promise);
    await Promise.all(promises);
    const stored = await used.store.getChat({ userId: "u", chatId: id });
    expect(stored?.messages).toHaveLength(2);
    expect(stored?.title).toBe(title ? "A title" : "Why?");
    expect(errors).toEqual([]);
  }
});

test("a client's mistakes are no errors, and the handler prints nothing", async () => {
  const store = used.store;
  const chat = createChatHandler({
    store,
    userId: (request) => request.headers.get("x-user-id"),
    answer: ({ modelMessages }) => {
      const model = sdks.at(-1)?.model(["Hello."]) as ai.LanguageModel;
      return ai.streamText({ model, messages: modelMessages });
    },
  });
  const id = randomUUID();
  const body = { id, message: question("Why?") };
  await chunksOf(await chat(requestTo("POST", "/", { body })));
  const mistakes: [number, Request][] = [
    [400, requestTo("POST", "/", { body: "{" })],
    [400, requestTo("GET", "/%")],
    [401, requestTo("GET", "/", { userId: null })],
    [403, requestTo("DELETE", `/${id}`, { headers: { "sec-fetch-site": "cross-site" } })],
    [404, requestTo("GET", `/${id}`, { userId: "s" })],
    [404, requestTo("POST", "/", { userId: "s", body })],
    [404, requestTo("GET", "/x/y/z")],
    [405, requestTo("PUT", "/")],
    [409, requestTo("POST", `/${id}/fork`, { body: { id } })],
    [413, requestTo("POST", "/", { body: "x", headers: { "content-length": "9999999" } })],
    [415, requestTo("POST", "/", { body, headers: { "content-type": "text/plain" } })],
  ];
  for (const [status, request] of mistakes) expect((await chat(request)).status).toBe(status);
  expect(printed()).toEqual([]);
});

test("an error of the application that looks like one of the store is a fault of the server", async () => {
  const conflict = await used.store
    .upsertChat({ userId: "u", chatId: randomUUID(), messages: [], expectedVersion: 7 })
    .catch((error: unknown) => error);
  expect(conflict).toMatchObject({ code: "CHAT_CONFLICT" });
  for (const options of [{ answer: () => Promise.reject(conflict) }, { userId: () => Promise.reject(conflict) }]) {
    const { chat, errors } = createHandler(used.store, options);
    const body = { id: randomUUID(), message: question("Why?") };
    await expectError(await chat(requestTo("POST", "/", { body })), "failed");
    expect(errors).toEqual([{ error: conflict, method: "POST", route: "/" }]);
  }
  const answer = () => new ReadableStream({ start: (controller) => controller.error(conflict) });
  const { chat, errors } = createHandler(used.store, { answer });
  const body = { id: randomUUID(), message: question("Why?") };
  expect(await chunksOf(await chat(requestTo("POST", "/", { body })))).toMatchObject([{ type: "error" }]);
  expect(errors).toEqual([{ error: conflict, method: "POST", route: "/" }]);
});

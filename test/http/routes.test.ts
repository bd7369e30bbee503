import { randomUUID } from "node:crypto";
import { beforeEach, describe, expect, test } from "vitest";
import { versionHeader } from "../../src/protocol.ts";
import {
  chunksOf,
  createHandler,
  expectError,
  openTestStore,
  question,
  type RequestOptions,
  requestTo,
  wholeOf,
} from "../support/chat-handler.ts";
import { say } from "../support/conversations.ts";

const used = openTestStore();
const owner = "the-owner-of-the-chat";
const answer = say("assistant", "Because.", "a");

/** A request of every route, for a chat with this id. */
const routes: [string, string, (id: string) => RequestOptions & { path: string }][] = [
  ["GET", "/", () => ({ path: "/" })],
  ["GET", "/?search", () => ({ path: "/?search=because" })],
  ["POST", "/", (id) => ({ path: "/", body: { id, message: question("And?", "q2") } })],
  ["GET", "/:id", (id) => ({ path: `/${id}` })],
  ["PATCH", "/:id", (id) => ({ path: `/${id}`, body: { title: "New" } })],
  ["DELETE", "/:id", (id) => ({ path: `/${id}` })],
  ["POST", "/:id/fork", (id) => ({ path: `/${id}/fork`, body: { id: randomUUID() } })],
  ["DELETE", "/:id/messages/:messageId", (id) => ({ path: `/${id}/messages/a` })],
  ["POST", "/:id/branches/:branchId", (id) => ({ path: `/${id}/branches/${branchId}` })],
  ["GET", "/:id/stream", (id) => ({ path: `/${id}/stream` })],
  ["DELETE", "/:id/stream", (id) => ({ path: `/${id}/stream` })],
];
const ofOneChat = routes.filter(([, route]) => !route.startsWith("/?") && route !== "/");

const branchId = randomUUID();
let id: string;
beforeEach(async () => {
  id = randomUUID();
  await used.store.deleteAllChats({ userId: owner });
  await used.store.upsertChat({
    userId: owner,
    chatId: id,
    title: "Why",
    messages: [question("Why?") as never, answer],
  });
  await used.database.query(
    `insert into chat_store.branches (chat_id, id, after_id, position, message_count, messages)
     values ($1, $2, 'q', 2, 1, $3::text::json)`,
    [id, branchId, JSON.stringify([["b", "assistant", "[]", null, "0"]])],
  );
});

const send = (method: string, { path, ...options }: RequestOptions & { path: string }, more?: object) =>
  createHandler(used.store, more).chat(requestTo(method, path, options));

describe("The owner of a chat", () => {
  const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  const chat = (more: object = {}) => ({
    id,
    title: "Why",
    version: 1,
    createdAt: time,
    updatedAt: time,
    archivedAt: null,
    ...more,
  });
  const get = async (method: string, path: string, body?: unknown) => {
    const response = await send(method, { path, body, userId: owner });
    expect(response.headers.get("cache-control")).toBe("no-store");
    const text = await response.text();
    expect(text).not.toContain(owner);
    expect(text).not.toContain("userId");
    return { status: response.status, body: text === "" ? null : JSON.parse(text) };
  };

  test("gets the list, a page, and matches of a search", async () => {
    expect(await get("GET", "/")).toEqual({ status: 200, body: { chats: [chat()], cursor: null } });
    expect(await get("GET", "/?archived=true")).toEqual({ status: 200, body: { chats: [], cursor: null } });
    expect(await get("GET", `/${id}`)).toEqual({
      status: 200,
      body: { chat: chat(), messages: [question("Why?"), answer], sentAt: [time, time], hasMore: false, branches: [] },
    });
    const last = { chat: chat(), messages: [answer], sentAt: [time], hasMore: true, branches: [] };
    expect(await get("GET", `/${id}?limit=1`)).toEqual({ status: 200, body: last });
    const first = { chat: chat(), messages: [question("Why?")], sentAt: [time], hasMore: false, branches: [] };
    expect(await get("GET", `/${id}?limit=5&before=a`)).toEqual({ status: 200, body: first });
    const found = await get("GET", "/?search=because");
    expect(found).toMatchObject({ status: 200, body: { matches: [{ chat: chat(), messageId: "a" }], cursor: null } });
    expect(found.body.matches[0].chat).toEqual(chat());
  });

  test("renames, archives, forks, deletes", async () => {
    expect(await get("PATCH", `/${id}`, { title: "New" })).toEqual({ status: 200, body: chat({ title: "New" }) });
    const archived = chat({ title: "New", archivedAt: time });
    expect(await get("PATCH", `/${id}`, { archived: true })).toEqual({ status: 200, body: archived });
    expect((await get("GET", "/?archived=true")).body.chats).toEqual([archived]);
    const copy = randomUUID();
    const forked = { id: copy, throughMessageId: "q", title: "Copy" };
    expect(await get("POST", `/${id}/fork`, forked)).toEqual({ status: 201, body: chat({ id: copy, title: "Copy" }) });
    expect((await get("GET", `/${copy}`)).body.messages).toEqual([question("Why?")]);
    const taken = await get("POST", `/${id}/fork`, { id: copy });
    expect(taken).toMatchObject({ status: 409, body: { error: { code: "conflict" } } });
    const gone = await get("POST", `/${id}/fork`, { id: randomUUID(), throughMessageId: "x" });
    expect(gone).toMatchObject({ status: 404, body: { error: { code: "not_found" } } });
    expect((await get("DELETE", `/${id}/messages/a`)).body).toEqual({ ...archived, version: 2 });
    expect((await get("DELETE", `/${id}/messages/a`)).status).toBe(404);
    expect((await get("DELETE", `/${id}/messages/q?following=true`)).body).toEqual({ ...archived, version: 3 });
    expect(await get("DELETE", `/${id}`)).toEqual({ status: 204, body: null });
    expect((await get("DELETE", `/${id}`)).status).toBe(404);
  });

  test("asks, and gets the stream of the answer with the headers of a stream", async () => {
    const response = await send("POST", { path: "/", body: { id, message: question("And?", "q2") }, userId: owner });
    expect(Object.fromEntries(response.headers)).toEqual({
      "content-type": "text/event-stream",
      "cache-control": "no-cache, no-transform",
      "x-vercel-ai-ui-message-stream": "v1",
      "x-accel-buffering": "no",
      [versionHeader]: "2",
    });
    const [start, ...chunks] = await chunksOf(response);
    const stored = await used.store.getChat({ userId: owner, chatId: id });
    expect(start).toEqual({ type: "start", messageId: stored?.messages.at(-1)?.id });
    expect(chunks.at(-1)).toMatchObject({ type: "finish" });
    expect(JSON.stringify(chunks)).not.toContain(owner);
    expect(stored).toMatchObject({ version: 3, messages: [{}, {}, question("And?", "q2"), { role: "assistant" }] });
  });

  test("gets the stream of an answer that the page does not show, and stops nothing where nothing runs", async () => {
    expect(await get("GET", `/${id}/stream?version=1`)).toEqual({ status: 204, body: null });
    expect(await get("GET", `/${id}/stream?version=0`)).toEqual({ status: 204, body: null });
    const chat = await used.store.getChat({ userId: owner, chatId: id });
    await used.store.upsertChat({
      userId: owner,
      chatId: id,
      messages: [...(chat?.messages ?? []), say("user", "And?", "q2"), say("assistant", "So.", "a2")],
    });
    const news = await send("GET", { path: `/${id}/stream?version=1`, userId: owner });
    expect(news.headers.get("cache-control")).toBe("no-cache, no-transform");
    // The version before this answer.
    expect(news.headers.get(versionHeader)).toBe("1");
    expect((await chunksOf(news))[0]).toMatchObject({ type: "start", messageId: "a2" });
    const stopped = { status: 200, body: { stopped: false } };
    expect(await get("DELETE", `/${id}/stream`)).toEqual(stopped);
    expect(await get("DELETE", `/${id}/stream?message=a`)).toEqual(stopped);
  });

  test.each([
    ["GET", "/?limit=0"],
    ["GET", "/?limit=1001"],
    ["GET", "/?limit=1e2"],
    ["GET", "/?limit="],
    ["GET", "/?archived=yes"],
    ["GET", "/?cursor=x"],
    ["GET", "/?cursor=99999999999999999.c"],
    ["GET", "/?cursor=-99999999999999.c"],
    ["GET", "/?cursor=1.%00"],
    ["GET", "/?search="],
    ["GET", `/?search=${"x".repeat(256)}`],
    ["GET", "/?search=x&cursor=y"],
    ["GET", "/x?limit=-1"],
    ["GET", "/x/stream?version=-1"],
    ["GET", "/x/stream?version=1.5"],
    ["GET", "/x/stream?version=9999999999"],
    ["DELETE", "/x/stream?message="],
    ["DELETE", "/x/messages/q?following=1"],
  ])("%s %s is a bad request", async (method, path) => {
    await expectError(await send(method, { path, userId: owner }), "bad_request");
  });
});

describe("A stranger", () => {
  test.each(ofOneChat)("gets from %s %s what a missing chat gives, byte for byte", async (method, _, request) => {
    const foreign = await used.expectUnchanged(() => send(method, { ...request(id), userId: "stranger" }));
    const missing = await send(method, { ...request(randomUUID()), userId: "stranger" });
    expect(await wholeOf(foreign)).toEqual(await wholeOf(missing));
    expect(missing.status).toBe(method === "GET" && missing.status === 204 ? 204 : missing.ok ? 200 : 404);
  });

  test("gets 404 for a question into the chat, and for a fork onto its id", async () => {
    const missing = await wholeOf(await send("GET", { path: `/${randomUUID()}`, userId: "stranger" }));
    const asked = () => send("POST", { path: "/", body: { id, message: question("And?") }, userId: "stranger" });
    expect(await wholeOf(await used.expectUnchanged(asked))).toEqual(missing);
    const own = randomUUID();
    await used.store.upsertChat({ userId: "stranger", chatId: own, messages: [] });
    const forked = () => send("POST", { path: `/${own}/fork`, body: { id }, userId: "stranger" });
    expect(await wholeOf(await used.expectUnchanged(forked))).toEqual(missing);
  });

  test("finds nothing in the list and in a search, also with a cursor into the chats of the owner", async () => {
    const last = await used.store.getChat({ userId: owner, chatId: id });
    const cursor = encodeURIComponent(`${(last?.updatedAt.getTime() ?? 0) + 1}.${id}`);
    for (const path of ["/", `/?cursor=${cursor}`, "/?archived=true"]) {
      const list = await send("GET", { path, userId: "other stranger" });
      expect(await list.json()).toEqual({ chats: [], cursor: null });
    }
    const matches = await send("GET", { path: "/?search=because", userId: "other stranger" });
    expect(await matches.json()).toEqual({ matches: [], cursor: null });
  });

  test("does not stop the owner's answer, and does not see its stream", async () => {
    const words = new TransformStream<never, never>();
    const { chat } = createHandler(used.store, { answer: () => words.readable });
    const asked = await chat(requestTo("POST", "/", { body: { id, message: question("And?", "q2") }, userId: owner }));
    const stopped = await chat(requestTo("DELETE", `/${id}/stream`, { userId: "stranger" }));
    expect(await stopped.json()).toEqual({ stopped: false });
    expect((await chat(requestTo("GET", `/${id}/stream`, { userId: "stranger" }))).status).toBe(204);
    expect((await chat(requestTo("HEAD", `/${id}/stream`, { userId: owner }))).status).toBe(204);
    const live = await chat(requestTo("GET", `/${id}/stream`, { userId: owner }));
    expect(live.status).toBe(200);
    await live.body?.cancel();
    const writer = words.writable.getWriter();
    for (const chunk of [
      { type: "start" },
      { type: "text-start", id: "1" },
      { type: "text-delta", id: "1", delta: "So" },
    ])
      await writer.write(chunk as never);
    await writer.close();
    expect(JSON.stringify(await chunksOf(asked))).toContain("So");
  });
});

describe("A request without a user", () => {
  test.each(routes)("gets 401 from %s %s", async (method, _, request) => {
    for (const userId of [() => null, () => undefined, () => "", async () => null]) {
      const response = await used.expectUnchanged(() => send(method, request(id), { userId }));
      expect(await expectError(response, "unauthorized")).toBe("Sign in first.");
    }
  });

  test.each(routes)("gets from %s %s the response that userId returns, as it is", async (method, _, request) => {
    const body = method === "HEAD" ? null : "Too many";
    const userId = () => new Response(body, { status: 429, headers: { "retry-after": "7" } });
    const response = await used.expectUnchanged(() => send(method, request(id), { userId }));
    expect(await wholeOf(response)).toMatchObject({ status: 429, headers: { "retry-after": "7" }, text: "Too many" });
  });

  test.each(routes)(
    "gets 500 from %s %s if userId throws, and onError gets the error",
    async (method, route, request) => {
      const thrown = new Error("the session's secret");
      const rejects = () => Promise.reject(thrown);
      const throws = () => {
        throw thrown;
      };
      for (const userId of [throws, rejects]) {
        const { chat, errors } = createHandler(used.store, { userId });
        const { path, ...options } = request(id);
        const response = await used.expectUnchanged(() => chat(requestTo(method, path, options)));
        expect(await expectError(response, "failed")).toBe("Something went wrong.");
        expect(errors).toEqual([{ error: thrown, method, route: route.split("?")[0] }]);
      }
    },
  );

  test.each([42, {}, true])("gets 500 if userId returns %j, which is no id", async (userId) => {
    const { chat, errors } = createHandler(used.store, { userId: () => userId as never });
    await expectError(await chat(requestTo("GET", "/")), "failed");
    expect(errors).toMatchObject([{ error: { name: "TypeError", message: expect.stringContaining("userId") } }]);
  });

  test("gets 500 if userId returns an id that the store refuses", async () => {
    const { chat, errors } = createHandler(used.store, { userId: () => "x".repeat(256) });
    await expectError(await chat(requestTo("GET", "/")), "failed");
    expect(errors).toMatchObject([{ error: { code: "INVALID_CHAT" }, method: "GET", route: "/" }]);
  });
});

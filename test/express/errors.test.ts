import { randomUUID } from "node:crypto";
import pg from "pg";
import { expect, onTestFinished } from "vitest";
import { say } from "../support/conversations.ts";
import { createDatabase } from "../support/databases.ts";
import { ask, askTwice, type ExampleServer, expectError, newUser, startForTest, test } from "../support/express.ts";
import { fetchAlone } from "../support/fetch-alone.ts";

test("The server answers to another user's chat exactly as to one that does not exist", async ({ server }) => {
  const owner = newUser();
  const chat = server.openChat(owner);
  await ask(chat, "Mine?");
  const stored = await server.getChat(chat.id, owner);

  const stranger = newUser();
  const unknown = await expectError(await server.get(`/api/chat/${randomUUID()}`, stranger), 404);
  expect(await expectError(await server.get(`/api/chat/${chat.id}`, stranger), 404)).toBe(unknown);
  for (const id of [undefined, stored.messages[0]?.id]) {
    const message = say("user", "Mine!", id);
    expect(await expectError(await server.postQuestion({ id: chat.id, message }, { "x-user-id": stranger }), 404)).toBe(
      unknown,
    );
  }
  expect(await server.getChats(stranger)).toEqual([]);
  expect(await server.getChat(chat.id, owner)).toEqual(stored);
});

const requestsWithoutUser: [string, (server: ExampleServer) => Promise<Response>][] = [
  ["the list", (server) => server.fetch("/api/chat")],
  ["a search", (server) => server.fetch("/api/chat?search=x")],
  ["a chat", (server) => server.fetch("/api/chat/x")],
  ["a question", (server) => server.postQuestion({ id: randomUUID(), message: say("user", "Hi") }, {})],
  ["an empty name", (server) => server.get("/api/chat", "")],
  ["a question that is no JSON either", (server) => server.postQuestion("{", {})],
  ["the change of a chat", (server) => server.send("PATCH", "/api/chat/x", "", "{")],
  ["the deletion of a chat", (server) => server.send("DELETE", "/api/chat/x", "")],
  ["a fork", (server) => server.send("POST", "/api/chat/x/fork", "", "{")],
  ["the deletion of a message", (server) => server.send("DELETE", "/api/chat/x/messages/y", "")],
  ["a switch to a branch", (server) => server.send("POST", "/api/chat/x/branches/y", "")],
  ["a stream", (server) => server.get("/api/chat/x/stream", "")],
  ["a stop", (server) => server.send("DELETE", "/api/chat/x/stream", "")],
  ["an export", (server) => server.get("/api/export", "")],
];
test.for(requestsWithoutUser)(
  "The server answers 401 to a request without a user: %s",
  async ([_, request], { server }) => {
    await expectError(await request(server), 401);
  },
);

const deep = "[".repeat(100_000) + "]".repeat(100_000);

test("A user changes nothing in another user's chat, and gets the answer for one that does not exist", async ({
  server,
}) => {
  const owner = newUser();
  const { id, path, first } = await askTwice(server, owner);
  const stored = await server.getChat(id, owner);
  const stranger = newUser();
  const requests: [string, (chat: string) => string, unknown?][] = [
    ["PATCH", (chat) => chat, { title: "Mine!", archived: true }],
    ["DELETE", (chat) => chat],
    ["POST", (chat) => `${chat}/fork`, { id: randomUUID() }],
    ["DELETE", (chat) => `${chat}/messages/${first}`],
    ["DELETE", (chat) => `${chat}/messages/${first}?following=true`],
  ];
  for (const [method, addressOf, body] of requests) {
    const unknown = await server.send(method, addressOf(`/api/chat/${randomUUID()}`), stranger, body);
    const theirs = await server.send(method, addressOf(path), stranger, body);
    expect(await expectError(theirs, 404)).toBe(await expectError(unknown, 404));
  }
  expect(await (await server.get("/api/export", stranger)).text()).toBe("");
  expect(await server.client(stranger).list({ archived: true })).toEqual({ chats: [], cursor: null });
  expect(await server.getChats(stranger)).toEqual([]);
  expect(await server.getChat(id, owner)).toEqual(stored);
});

test("The server answers 400 to an impossible change, and changes nothing", async ({ server }) => {
  const userId = newUser();
  const { id, path, first } = await askTwice(server, userId);
  const stored = await server.getChat(id, userId);
  const bad: [string, string, ...unknown[]][] = [
    ["PATCH", path, {}, { userId: "u" }, { title: null }, { title: 1 }, { title: "x".repeat(1_001) }, { title: "\0" }],
    [
      "PATCH",
      path,
      { titleIfEmpty: "b" },
      { title: "b", expectedTitle: "a" },
      { archived: "true" },
      { archived: null },
    ],
    // The application takes no metadata.
    ["PATCH", path, { metadata: {} }, { metadata: null }, `{"metadata":{"deep":${deep}}}`],
    ["POST", `${path}/fork`, {}, { id: 1 }, { id: "" }, { id: "x".repeat(256) }, { id: "\0" }, { id: "." }],
    ["POST", `${path}/fork`, { id: "y", throughMessageId: "" }, { id: "y", title: "x".repeat(1_001) }],
    ["POST", `${path}/fork`, { id: "y", userId: "u" }],
  ];
  for (const [method, address, ...bodies] of bad) {
    for (const body of [...bodies, "", "{", "null", "[]", '"text"']) {
      await expectError(await server.send(method, address, userId, body), 400);
    }
    const form = { method, headers: { "x-user-id": userId }, body: new URLSearchParams({ title: "a" }) };
    await expectError(await server.fetch(address, form), 415);
  }
  for (const query of ["?following=", "?following=1"]) {
    await expectError(await server.send("DELETE", `${path}/messages/${first}${query}`, userId), 400);
  }
  for (const path of ["/%00", `/${"x".repeat(256)}`].flatMap((id) => [id, `/chat/messages${id}`])) {
    await expectError(await server.send("DELETE", `/api/chat${path}`, userId), 400);
  }
  expect(await server.getChats(userId)).toHaveLength(1);
  const headers = { "x-user-id": userId, "content-type": "application/json" };
  const long = { method: "PATCH", headers, body: JSON.stringify({ title: "x".repeat(1024 * 1024) }) };
  await expectError(await fetchAlone(server.url + path, long), 413);
  expect(await server.getChat(id, userId)).toEqual(stored);
});

test("The server answers 500 for a user that the store cannot take, and does not say why", async ({ databaseUrl }) => {
  const server = await startForTest({ DATABASE_URL: databaseUrl });
  const userId = "x".repeat(256);
  const message = '{"error":{"code":"failed","message":"Something went wrong."}}';
  expect(await expectError(await server.get("/api/chat", userId), 500)).toBe(message);
  expect(await expectError(await server.get("/api/chat/x", userId), 500)).toBe(message);
  const asked = await server.postQuestion({ id: "chat", message: say("user", "Hi") }, { "x-user-id": userId });
  expect(await expectError(asked, 500)).toBe(message);
  await expect.poll(() => server.output()).toContain("userId");
});

test.for(["", "1", "yes", "TRUE"])("The server answers 400 to ?archived=%s", async (archived, { server }) => {
  await expectError(await server.get(`/api/chat?archived=${archived}`, "u"), 400);
});

test.for(["0", "-1", "1.5", "ten", "", "1001", "99999999999999999999"])(
  "The server answers 400 to ?limit=%s",
  async (limit, { server }) => {
    await expectError(await server.get(`/api/chat?limit=${limit}`, "u"), 400);
  },
);

test.for(["%00", "x".repeat(256)])("The server answers 400 to the chat id %s", async (id, { server }) => {
  await expectError(await server.get(`/api/chat/${id}`, "u"), 400);
});

test.for(["%", "%E0%A4%A", "%ED%A0%80"])(
  "Express answers 400 to the chat id %s, which it cannot decode",
  async (id, { server }) => {
    expect((await server.get(`/api/chat/${id}`, "u")).status).toBe(400);
    expect((await server.send("DELETE", `/api/chat/x/messages/${id}`, "u")).status).toBe(400);
  },
);

test.for([
  ["GET", "/api/chat/a/b", 404],
  ["GET", "/api/chat/a/stream/b", 404],
  ["DELETE", "/api/chat/x/messages", 404],
  ["PUT", "/api/chat", 405],
  ["DELETE", "/api/chat", 405],
  ["PUT", "/api/chat/x", 405],
  ["POST", "/api/chat/x", 405],
  ["GET", "/api/chat/x/messages/y", 405],
  ["PUT", "/api/chat/x/messages/y", 405],
] as const)("The handler has nothing at %s %s, and answers %i", async ([method, path, status], { server }) => {
  const response = await server.fetch(path, { method });
  expect(response.headers.has("allow")).toBe(status === 405);
  await expectError(response, status);
});

test.for([
  ["GET", "/"],
  ["GET", "/api"],
  ["GET", "/api/chats"],
  ["GET", "/api/chatter/x"],
  ["GET", "/%"],
  ["POST", "/api/export"],
] as const)("Express answers 404 to %s %s", async ([method, path], { server }) => {
  expect((await server.fetch(path, { method })).status).toBe(404);
});

test("The server answers 503 to a question that other saves overtake again and again, and 500 without its tables", async ({
  model,
}) => {
  const { url, drop } = await createDatabase();
  onTestFinished(drop);
  const server = await startForTest({ ...model.settings, DATABASE_URL: url });
  const userId = newUser();
  const chat = server.openChat(userId);
  await ask(chat, "Hi");
  const stored = await server.getChat(chat.id, userId);

  const database = new pg.Client(url);
  await database.connect();
  // To every save it looks as if another one had come in between.
  await database.query(`
    create function overtake() returns trigger language plpgsql as $$
    begin
      if current_query() not ilike 'insert%' then return null; end if;
      new.version := new.version + 1;
      return new;
    end $$;
    create trigger overtake before update on chat_store.chats for each row execute function overtake();
  `);
  const askAgain = () =>
    server.postQuestion({ id: chat.id, message: say("user", "Too late?") }, { "x-user-id": userId });
  const overtaken = await askAgain();
  expect(overtaken.headers.get("retry-after")).toBe("2");
  await expectError(overtaken, 503);
  await database.query("drop trigger overtake on chat_store.chats");
  expect(await server.getChat(chat.id, userId)).toEqual(stored);

  await database.query("alter table chat_store.messages rename to mislaid");
  await database.end();
  expect(await expectError(await askAgain(), 500)).toContain("Something went wrong.");
  await expect.poll(() => server.output()).toMatch(/startTurn did not find its tables/);
  expect(server.output()).not.toContain("Too late?");
});

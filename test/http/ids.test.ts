import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import {
  chunksOf,
  createHandler,
  expectError,
  openTestStore,
  question,
  requestTo,
  textIn,
} from "../support/chat-handler.ts";

const used = openTestStore();

interface Body {
  cursor: string;
  messages: { id: string }[];
}

const ids = [
  "/",
  "a/b",
  "//",
  "%",
  "%2F",
  "%25",
  "%zz",
  "?",
  "#",
  " ",
  " a ",
  "+",
  "&limit=1",
  "ü",
  "😀",
  "‮‏",
  "é",
  "\\",
  "a\nb\r\tc",
  "search",
  "stream",
  "fork",
  "messages",
  "shares",
  "branches",
  "api",
  "chat",
  "...",
  ".a",
  "__proto__",
  "constructor",
  "null",
  "undefined",
  "0",
  "$1",
  "x".repeat(255),
  "ü".repeat(255),
  "😀".repeat(127),
  ":id",
  ":messageId",
];

test.each(ids)("a chat, a message and a fork may have the id %j", async (id) => {
  const userId = randomUUID();
  const { chat, errors } = createHandler(used.store);
  const send = (method: string, path: string, body?: unknown) => chat(requestTo(method, path, { userId, body }));
  const path = `/${encodeURIComponent(id)}`;
  const json = async (response: Response) => ({ status: response.status, body: (await response.json()) as Body });

  expect(textIn(await chunksOf(await send("POST", "/", { id, message: question("Why?", id) })))).toBe("Hello.");
  expect(await json(await send("GET", "/"))).toMatchObject({ status: 200, body: { chats: [{ id, title: "Why?" }] } });
  const page = await json(await send("GET", path));
  expect(page).toMatchObject({ status: 200, body: { chat: { id }, messages: [{ id }, { role: "assistant" }] } });
  const answerId = page.body.messages[1]?.id ?? "";
  const before = await json(await send("GET", `${path}?before=${encodeURIComponent(answerId)}`));
  expect(before.body.messages).toEqual([question("Why?", id)]);
  expect((await json(await send("GET", `${path}?before=${encodeURIComponent(id)}`))).body.messages).toEqual([]);
  expect(await json(await send("PATCH", path, { title: "New" }))).toMatchObject({
    status: 200,
    body: { title: "New" },
  });

  // The list goes on after this chat.
  const later = randomUUID();
  await used.store.upsertChat({ userId, chatId: later, messages: [] });
  await used.database.query("update chat_store.chats set updated_at = now() + interval '1 s' where id = $1", [later]);
  const first = await json(await send("GET", "/?limit=1"));
  const list = await json(await send("GET", `/?limit=1&cursor=${encodeURIComponent(first.body.cursor)}`));
  expect(list).toMatchObject({ status: 200, body: { chats: [{ id }], cursor: null } });

  expect((await send("GET", `${path}/stream`)).status).toBe(204);
  const message = encodeURIComponent(id);
  expect((await json(await send("DELETE", `${path}/stream?message=${message}`))).body).toEqual({ stopped: false });
  const copy = randomUUID();
  expect(await json(await send("POST", `${path}/fork`, { id: copy, throughMessageId: id }))).toMatchObject({
    status: 201,
    body: { id: copy },
  });
  const deleted = await json(await send("DELETE", `${path}/messages/${message}`));
  expect(deleted).toMatchObject({ status: 200, body: { id } });
  expect((await json(await send("GET", path))).body.messages).toMatchObject([{ id: answerId }]);
  expect((await send("DELETE", path)).status).toBe(204);
  expect(await json(await send("POST", `/${copy}/fork`, { id }))).toMatchObject({ status: 201, body: { id } });
  expect((await send("DELETE", path)).status).toBe(204);
  await expectError(await send("GET", path), "not_found");
  expect(errors).toEqual([]);
});

describe("Ids that are refused", () => {
  const refused = [".", "..", "", "x".repeat(256), "\0", "a\0", "\ud800", "\udc00\ud800", 1, null, ["x"], { id: "x" }];

  test.each(refused)("a new chat cannot have the id %j, and a fork neither", async (id) => {
    const { chat, errors } = createHandler(used.store);
    const source = randomUUID();
    await used.store.upsertChat({ userId: "u", chatId: source, messages: [] });
    await used.expectUnchanged(async () => {
      await expectError(await chat(requestTo("POST", "/", { body: { id, message: question("Why?") } })), "bad_request");
      await expectError(await chat(requestTo("POST", `/${source}/fork`, { body: { id } })), "bad_request");
    });
    expect(errors).toEqual([]);
  });

  test.each(refused.filter((id) => id !== "." && id !== ".."))("a message cannot have the id %j", async (id) => {
    const { chat, errors } = createHandler(used.store);
    await used.expectUnchanged(async () => {
      const message = { ...question("Why?"), id };
      await expectError(await chat(requestTo("POST", "/", { body: { id: randomUUID(), message } })), "bad_request");
      const body = { id: randomUUID(), message: question("Why?"), trigger: "submit-message", messageId: id ?? 0 };
      await expectError(await chat(requestTo("POST", "/", { body })), "bad_request");
      const fork = { id: randomUUID(), throughMessageId: id ?? 0 };
      await expectError(await chat(requestTo("POST", "/x/fork", { body: fork })), "bad_request");
    });
    expect(errors).toEqual([]);
  });

  test.each(["%", "%zz", "%C3", "%FF", "%00", "a%00", "x".repeat(256), "%ED%A0%80"])(
    "a path cannot have the id %s",
    async (segment) => {
      const { chat, errors } = createHandler(used.store);
      const paths: [string, string][] = [
        ["GET", `/${segment}`],
        ["DELETE", `/${segment}`],
        ["GET", `/${segment}/stream`],
        ["DELETE", `/${segment}/stream`],
        ["DELETE", `/x/messages/${segment}`],
        ["DELETE", `/${segment}/messages/x`],
        ["POST", `/x/branches/${segment}`],
        ["POST", `/${segment}/branches/x`],
      ];
      await used.expectUnchanged(async () => {
        for (const [method, path] of paths) await expectError(await chat(requestTo(method, path)), "bad_request");
        const body = { title: "New" };
        await expectError(await chat(requestTo("PATCH", `/${segment}`, { body })), "bad_request");
        const fork = { id: randomUUID() };
        await expectError(await chat(requestTo("POST", `/${segment}/fork`, { body: fork })), "bad_request");
      });
      expect(errors).toEqual([]);
    },
  );

  test("an id is decoded once", async () => {
    const { chat } = createHandler(used.store);
    await used.store.upsertChat({ userId: "u", chatId: "%2e%2e", messages: [] });
    expect((await chat(requestTo("GET", "/%252e%252e"))).status).toBe(200);
    // The URL itself takes an encoded dot for a folder.
    expect(new URL(requestTo("GET", "/x/%2e%2e").url).pathname).toBe("/api/chat/");
  });
});

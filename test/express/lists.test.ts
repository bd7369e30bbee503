import { expect } from "vitest";
import type { ChatSearch, ClientChatPage } from "../../src/client.ts";
import { say } from "../support/conversations.ts";
import { asJson, ask, askTwice, expectError, newUser, test } from "../support/express.ts";

test("The list holds the user's own chats, the newest activity first, and at most as many as asked for", async ({
  server,
}) => {
  const userId = newUser();
  expect(await server.getChats(userId)).toEqual([]);
  const [first, second] = [server.openChat(userId), server.openChat(userId)];
  await ask(first, "a");
  await ask(second, "b");
  expect((await server.getChats(userId)).map(({ title }) => title)).toEqual(["b", "a"]);
  await ask(first, "c");
  expect((await server.getChats(userId)).map(({ id }) => id)).toEqual([first.id, second.id]);
  const { chats, cursor } = await server.client(userId).list({ limit: 1 });
  expect(chats).toMatchObject([{ id: first.id }]);
  expect(await server.client(userId).list({ limit: 1, cursor: cursor ?? "" })).toMatchObject({
    chats: [{ id: second.id }],
    cursor: null,
  });
  expect(await server.getChats(newUser())).toEqual([]);
});

test("A client reads a chat in pages from its end", async ({ server }) => {
  const userId = newUser();
  const { id, path, first, second } = await askTwice(server, userId);
  const { messages, ...chat } = asJson(await server.getChat(id, userId));
  const page = (query: string) => server.getJson<ClientChatPage>(path + query, userId);
  expect(await page("")).toEqual({
    chat,
    messages,
    sentAt: messages.map(() => expect.stringMatching(/^\d{4}-.*Z$/)),
    hasMore: false,
    branches: [],
  });
  expect(await page("?limit=1")).toEqual({
    chat,
    messages: messages.slice(-1),
    sentAt: [expect.any(String)],
    hasMore: true,
    branches: [],
  });
  expect(await page(`?limit=2&before=${second}`)).toEqual({
    chat,
    messages: messages.slice(0, 2),
    sentAt: [expect.any(String), expect.any(String)],
    hasMore: false,
    branches: [],
  });
  expect(await page(`?before=${first}`)).toEqual({ chat, messages: [], sentAt: [], hasMore: false, branches: [] });
});

test("The server refuses an impossible page, a page before a message that is gone, and one of another user's chat", async ({
  server,
}) => {
  const userId = newUser();
  const { path } = await askTwice(server, userId);
  for (const query of ["limit=0", "limit=-1", "limit=1.5", "limit=many", "limit=1001", "before=", "before=%00"]) {
    await expectError(await server.get(`${path}?${query}`, userId), 400);
  }
  await expectError(await server.get(`${path}?before=gone`, userId), 409);
  const toStranger = await expectError(await server.get(`${path}?before=gone`, newUser()), 404);
  expect(await expectError(await server.get("/api/chat/none", userId), 404)).toBe(toStranger);
});

test("A user finds a chat by its title and by its messages, and no other user finds it", async ({ server }) => {
  const userId = newUser();
  const { id } = server.openChat(userId);
  const words = `50% of "C:\\tea" & 茶/thé?`;
  const asked = { id, message: say("user", words, "q") };
  // To its end, when the answer is stored.
  await (await server.send("POST", "/api/chat", userId, asked)).text();
  const search = (query: string, more = "", who = userId) =>
    server.getJson<ChatSearch>(`/api/chat?search=${encodeURIComponent(query)}${more}`, who);

  const { matches, cursor } = await search(words.toUpperCase());
  expect(matches.map(({ messageId }) => messageId)).toEqual([null, expect.any(String), "q"]);
  expect(matches.map(({ excerpt }) => excerpt.match)).toEqual([words, words, words]);
  expect(cursor).toBeNull();
  const one = await search(words, "&limit=1");
  expect(one.matches).toEqual(matches.slice(0, 1));
  const rest = await search(words, `&cursor=${one.cursor}`);
  expect(rest.matches).toEqual(matches.slice(1));
  expect(await search(words, "", newUser())).toEqual({ matches: [], cursor: null });
  for (const query of ["", "tea&limit=0", "tea&cursor=x", "%00"]) {
    await expectError(await server.get(`/api/chat?search=${query}`, userId), 400);
  }
});

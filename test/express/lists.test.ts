import type { UIMessage } from "ai";
import { expect } from "vitest";
import type { Chat } from "../../src/index.ts";
import { say } from "../support/conversations.ts";
import { ask, askTwice, expectError, newUser, test } from "../support/express.ts";

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
  expect(await server.getJson<Chat[]>("/api/chats?limit=1", userId)).toMatchObject([{ id: first.id }]);
  expect(await server.getChats(newUser())).toEqual([]);
});

test("A client reads a chat in pages from its end", async ({ server }) => {
  const page = (path: string, userId: string) =>
    server.getJson<{ chat: Chat; messages: UIMessage[]; sentAt: string[]; hasMore: boolean }>(path, userId);
  const userId = newUser();
  const { path, first, second } = await askTwice(server, userId);
  const { messages, ...chat } = await server.getJson<Chat & { messages: UIMessage[] }>(path, userId);
  expect(await page(`${path}/messages`, userId)).toEqual({
    chat,
    messages,
    sentAt: messages.map(() => expect.stringMatching(/^\d{4}-.*Z$/)),
    hasMore: false,
  });
  expect(await page(`${path}/messages?limit=1`, userId)).toEqual({
    chat,
    messages: messages.slice(-1),
    sentAt: [expect.any(String)],
    hasMore: true,
  });
  expect(await page(`${path}/messages?limit=2&before=${second}`, userId)).toEqual({
    chat,
    messages: messages.slice(0, 2),
    sentAt: [expect.any(String), expect.any(String)],
    hasMore: false,
  });
  expect(await page(`${path}/messages?before=${first}`, userId)).toEqual({
    chat,
    messages: [],
    sentAt: [],
    hasMore: false,
  });
});

test("The server answers 400 to an impossible page, and 404 to a page of no chat or of another user's", async ({
  server,
}) => {
  const userId = newUser();
  const { path } = await askTwice(server, userId);
  for (const query of ["limit=0", "limit=-1", "limit=1.5", "limit=many", "limit=201", "before=gone", "before="]) {
    await expectError(await server.send("GET", `${path}/messages?${query}`, userId), 400);
  }
  const toStranger = await expectError(await server.send("GET", `${path}/messages?before=gone`, newUser()), 404);
  expect(await expectError(await server.send("GET", "/api/chats/none/messages", userId), 404)).toBe(toStranger);
});

test("A user finds a chat by its title and by its messages, and no other user finds it", async ({ server }) => {
  const userId = newUser();
  const { id } = server.openChat(userId);
  const words = `50% of "C:\\tea" & 茶/thé?`;
  const asked = { id, message: say("user", words, "q") };
  // To its end, when the answer is stored.
  await (await server.send("POST", "/api/chat", userId, asked)).text();
  type Found = {
    matches: { chat: Chat; messageId: string | null; excerpt: { match: string } }[];
    cursor: string | null;
  };
  const search = (query: string, more = "", who = userId) =>
    server.getJson<Found>(`/api/search?query=${encodeURIComponent(query)}${more}`, who);

  const { matches, cursor } = await search(words.toUpperCase());
  expect(matches.map(({ messageId }) => messageId)).toEqual([null, expect.any(String), "q"]);
  expect(matches.map(({ excerpt }) => excerpt.match)).toEqual([words, words, words]);
  expect(cursor).toBeNull();
  const one = await search(words, "&limit=1");
  expect(one.matches).toEqual(matches.slice(0, 1));
  const rest = await search(words, `&cursor=${one.cursor}`);
  expect(rest.matches).toEqual(matches.slice(1));
  expect(await search(words, "", newUser())).toEqual({ matches: [], cursor: null });
  for (const query of ["", "query=", "query=tea&limit=0", "query=tea&cursor=x", "query=%00"]) {
    await expectError(await server.send("GET", `/api/search?${query}`, userId), 400);
  }
});

import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { createHandler, expectError, openTestStore, question, requestTo } from "../support/chat-handler.ts";
import { nextChatId } from "../support/chat-ids.ts";
import { conversation, say } from "../support/conversations.ts";

const used = openTestStore();

/** The handler, for a user of its own. */
function createUser(pageSize?: number) {
  const userId = randomUUID();
  const { chat, errors } = createHandler(used.store, { ...(pageSize !== undefined && { pageSize }) });
  return {
    userId,
    errors,
    send: (path: string) => chat(requestTo("GET", path, { userId })),
    get: async <Body>(path: string) => (await chat(requestTo("GET", path, { userId }))).json() as Promise<Body>,
  };
}
const newIds = (count: number) => Array.from({ length: count }, () => randomUUID());

test.each([1, 2, 3, 7, 8])("pages of %i go through all 7 chats without gaps, also of the same time", async (limit) => {
  const { userId, get } = createUser();
  for (const chatId of newIds(7)) await used.store.upsertChat({ userId, chatId, messages: [] });
  // Three at one time, one before the year 1970.
  await used.database.query(
    `update chat_store.chats set updated_at = case n when 6 then '1950-01-01' else make_timestamptz(2020, 1, 1 + n / 3, 0, 0, 0) end
     from (select id, (row_number() over ())::int - 1 n from chat_store.chats where user_id = $1) numbered
     where chats.id = numbered.id`,
    [userId],
  );
  const expected = (await used.store.getChats({ userId })).map(({ id }) => id);
  const found: string[] = [];
  let cursor: string | null = null;
  let pages = 0;
  do {
    const more: string = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page: { chats: { id: string }[]; cursor: string | null } = await get(`/?limit=${limit}${more}`);
    found.push(...page.chats.map(({ id }) => id));
    expect(page.chats.length).toBeLessThanOrEqual(limit);
    ({ cursor } = page);
    pages++;
  } while (cursor !== null);
  expect(found).toEqual(expected);
  expect(pages).toBe(Math.ceil(7 / limit));
});

test("pages of a search go through all matches without gaps", async () => {
  const { userId, get } = createUser();
  const ids = Array.from({ length: 9 }, nextChatId);
  for (const [index, chatId] of ids.entries())
    await used.store.upsertChat({ userId, chatId, messages: [say("user", index % 3 === 0 ? "tides" : "the Moon")] });
  const found: string[] = [];
  let cursor: string | null = null;
  do {
    const more: string = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page: { matches: { chat: { id: string } }[]; cursor: string | null } = await get(
      `/?search=moon&limit=2${more}`,
    );
    found.push(...page.matches.map(({ chat }) => chat.id));
    ({ cursor } = page);
  } while (cursor !== null);
  expect(found).toEqual(ids.filter((_, index) => index % 3 !== 0).reverse());
});

test.each([
  [undefined, 30],
  [5, 5],
  [2_000, 40],
])(
  "with the pageSize %s, a page has %i chats, messages or matches if the request does not say it",
  async (size, expected) => {
    const { userId, get } = createUser(size);
    const rows = newIds(40).map((id) => ({ id, user_id: userId, title: "moon" }));
    await used.database.query(
      "insert into chat_store.chats (id, user_id, title) select id, user_id, title from json_to_recordset($1) as rows (id text, user_id text, title text)",
      [JSON.stringify(rows)],
    );
    const chatId = randomUUID();
    const messages = conversation(40);
    await used.store.upsertChat({ userId, chatId, messages });
    const list = await get<{ chats: unknown[] }>("/");
    expect(list.chats).toHaveLength(size === 2_000 ? 41 : expected);
    const page = await get<{ messages: unknown[]; hasMore: boolean }>(`/${chatId}`);
    expect(page.messages).toEqual(messages.slice(-expected));
    expect(page.hasMore).toBe(expected < 40);
    expect((await get<{ matches: unknown[] }>("/?search=moon")).matches).toHaveLength(expected);
    expect((await get<{ chats: unknown[] }>("/?limit=7")).chats).toHaveLength(7);
    expect((await get<{ messages: unknown[] }>(`/${chatId}?limit=7`)).messages).toHaveLength(7);
  },
);

test("pages of messages go through the whole chat; a page before a message that is gone is a conflict", async () => {
  const { userId, get, send, errors } = createUser(4);
  const chatId = randomUUID();
  const messages = conversation(10);
  await used.store.upsertChat({ userId, chatId, messages });
  const shown: { id: string }[] = [];
  for (let hasMore = true; hasMore; ) {
    const before = shown[0] ? `?before=${shown[0].id}` : "";
    const page = await get<{ messages: { id: string }[]; sentAt: string[]; hasMore: boolean }>(`/${chatId}${before}`);
    expect(page.sentAt).toHaveLength(page.messages.length);
    shown.unshift(...page.messages);
    ({ hasMore } = page);
  }
  expect(shown).toEqual(messages);
  await used.store.deleteMessage({ userId, chatId, messageId: "m4" });
  const message = await expectError(await send(`/${chatId}?before=m4`), "conflict");
  expect(message).toBe("The message is gone. Load the last messages again.");
  await expectError(await send(`/${randomUUID()}?before=m4`), "not_found");
  expect(errors).toEqual([]);
});

test("archived chats are a list of their own", async () => {
  const { userId, get } = createUser();
  const [kept, archived] = newIds(2) as [string, string];
  for (const chatId of [kept, archived])
    await used.store.upsertChat({ userId, chatId, messages: [question("Why?") as never] });
  await used.store.updateChat({ userId, chatId: archived, archived: true });
  expect(await get("/")).toMatchObject({ chats: [{ id: kept }], cursor: null });
  expect(await get("/?archived=false")).toMatchObject({ chats: [{ id: kept }] });
  expect(await get("/?archived=true")).toMatchObject({ chats: [{ id: archived, archivedAt: expect.any(String) }] });
  expect((await get<{ matches: unknown[] }>("/?search=why")).matches).toHaveLength(2);
});

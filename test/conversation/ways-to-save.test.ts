import { randomUUID } from "node:crypto";
import type { UIMessage } from "ai";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type ChatDatabase, createChatStore, type UpsertChatInput } from "../../src/index.ts";
import { type CapturedDatabase, openCaptured } from "../support/captured.ts";
import { conversation, say } from "../support/conversations.ts";

/** What a statement of a save does. */
const kindOf = (text: string): string => {
  const kinds: [string, RegExp][] = [
    ["begin", /^(begin|savepoint)/],
    ["commit", /^(commit|release)/],
    ["lock", / for update$/],
    ["load", /window_start as/],
    ["replace", /deleted_messages as/],
    ["append", /stored_messages as/],
    ["digests", /json_agg\(/],
    ["diff", /written_chat as/],
    ["owner", /as "owned"/],
    ["chat", /^(insert into|update) "chat_store"."chats"/],
    ["messages", /^insert into "chat_store"."messages"/],
  ];
  return kinds.find(([, pattern]) => pattern.test(text))?.[0] ?? text;
};

/** Messages too long for a save to send more than the last of them. */
const size = 2_000;
const long = (text: string, id?: string) => say("user", text.padEnd(size, "."), id);
const stored = conversation(6, size);
const [, , , , m4 = expect.fail(), m5 = expect.fail()] = stored;
const owner = "the owner";

let database: CapturedDatabase;
beforeAll(async () => {
  database = await openCaptured();
});
afterAll(() => database.close());

const noTransactions = (db: ChatDatabase): ChatDatabase =>
  Object.create(db, { transaction: { value: () => Promise.reject(new Error("No transactions in this driver")) } });

const ordersOf = (chatId: string) =>
  database.query<{ id: string; order: number }>(
    'select id, "order" from chat_store.messages where chat_id = $1 order by "order", id',
    [chatId],
  );

/** What `save` does to a chat of six messages, or to one that does not exist. */
async function saveOf(
  save: Partial<UpsertChatInput<UIMessage>>,
  { exists = true, sql, db = database.db }: { exists?: boolean; sql?: string; db?: ChatDatabase } = {},
) {
  const ids = { userId: owner, chatId: randomUUID() };
  if (exists) await createChatStore(database.db).upsertChat({ ...ids, title: "Tides", messages: stored });
  if (sql) await database.query(sql, [ids.chatId]);
  const before = await createChatStore(database.db).getChat(ids);
  const { statements, outcome } = await database.capture(() =>
    createChatStore(db).upsertChat({ ...ids, messages: stored, ...save }),
  );
  const kinds = statements.map(({ text }) => kindOf(text));
  const after = await createChatStore(database.db).getChat(ids);
  return { chatId: ids.chatId, before, outcome, after, kinds };
}

describe("A save that changes the chat", () => {
  test.each<[string, UIMessage[], string[]]>([
    ["appends one message", [...stored, long("new")], ["append"]],
    ["appends several messages", [...stored, long("new"), long("newer")], ["append", "append"]],
    ["replaces the last message under its id", stored.with(5, long("edited", "m5")), ["append", "replace"]],
    ["replaces the last message by another", stored.with(5, long("new")), ["append", "replace"]],
    [
      "replaces the end by a longer one",
      [...stored.slice(0, 4), long("edited", "m4"), long("new"), long("newer")],
      ["append", "replace"],
    ],
    ["replaces the end by a shorter one", [...stored.slice(0, 3), long("new")], ["append", "replace"]],
    ["replaces all messages", [long("new"), long("newer")], ["append", "replace"]],
    ["cuts the end off", stored.slice(0, 2), ["append", "replace"]],
    ["deletes all messages", [], ["append", "replace"]],
    ["edits a message before the last", stored.with(4, long("edited", "m4")), ["append", "digests", "diff"]],
    ["swaps the last messages", [...stored.slice(0, 4), m5, m4], ["append", "digests", "diff"]],
    ["inserts a message before the last", [...stored.slice(0, 5), long("new"), m5], ["append", "digests", "diff"]],
    ["removes a message before the last", [...stored.slice(0, 4), m5], ["append", "digests", "diff"]],
    [
      "repeats the content of the old end under other ids",
      [...stored.slice(0, 4), { ...m4, id: "n4" }, { ...m5, id: "n5" }],
      ["append", "replace"],
    ],
    [
      "swaps the ids of the last messages",
      [...stored.slice(0, 4), { ...m4, id: "m5" }, { ...m5, id: "m4" }],
      ["append", "replace"],
    ],
    [
      "appends more than a batch",
      [...stored, ...conversation(1_500).map((message) => ({ ...message, id: `new ${message.id}` }))],
      ["append", "digests", "begin", "chat", "messages", "messages", "commit"],
    ],
  ])("a save that %s", async (_, messages, kinds) => {
    const saved = await saveOf({ messages });
    expect(saved.kinds).toEqual(kinds);
    expect(saved.after).toMatchObject({ version: 2, title: "Tides", messages });
    expect(saved.outcome).toEqual(expect.objectContaining({ version: 2, title: "Tides" }));
    expect(await ordersOf(saved.chatId)).toEqual(messages.map(({ id }, order) => ({ id, order })));
  });

  test.each<[string, string | undefined, UIMessage[], string[]]>([
    ["", "", stored, ["append", "digests", "diff"]],
    ["Moon", "Moon", stored, ["append", "digests", "diff"]],
    ["", "", [...stored, long("new")], ["append"]],
    ["", "", stored.with(5, long("new")), ["append", "replace"]],
    ["", "", stored.with(1, long("new")), ["append", "digests", "diff"]],
    ["Tides", undefined, stored.with(5, long("new")), ["append", "replace"]],
  ])("a save gives the chat the title %j with title %j", async (expected, title, messages, kinds) => {
    const saved = await saveOf({ title, messages });
    expect(saved.kinds).toEqual(kinds);
    expect(saved.outcome).toMatchObject({ version: 2, title: expected });
    expect(saved.after).toMatchObject({ version: 2, title: expected, messages });
  });

  test.each<[string, string, UIMessage[], string[]]>([
    ["gaps", '"order" = "order" * 2', stored, ["append", "digests", "diff"]],
    ["gaps", '"order" = "order" * 2', [...stored, long("new")], ["append", "digests", "diff"]],
    [
      "a gap before the end",
      '"order" = case id when \'m5\' then 9 else "order" end',
      stored.with(5, long("new")),
      ["append", "replace"],
    ],
    ["repeated orders", '"order" = "order" / 2', stored, ["append", "digests", "diff"]],
    [
      "repeated orders",
      '"order" = greatest("order" - 1, 0)',
      [...stored.slice(0, 1), long("new"), long("newer")],
      ["append", "digests", "diff"],
    ],
    ["repeated orders", '"order" = 0', [], ["append", "replace"]],
  ])("a save repairs %s that direct SQL has left: %s", async (_, set, messages, kinds) => {
    const saved = await saveOf({ messages }, { sql: `update chat_store.messages set ${set} where chat_id = $1` });
    expect(await ordersOf(saved.chatId)).toEqual(messages.map(({ id }, order) => ({ id, order })));
    expect(saved.after).toMatchObject({ version: 2, messages });
    expect(saved.kinds).toEqual(kinds);
  });

  test("a new chat takes one statement if it is short, and one more if it is long", async () => {
    expect((await saveOf({ messages: conversation(3) }, { exists: false })).kinds).toEqual(["append"]);
    expect((await saveOf({ messages: [] }, { exists: false })).kinds).toEqual(["append"]);
    expect((await saveOf({}, { exists: false })).kinds).toEqual(["append", "diff"]);
  });

  test("a save after a message loads that message and writes the diff", async () => {
    const { kinds, after } = await saveOf({ after: "m3", messages: [long("new", "n4"), m5] });
    expect(kinds).toEqual(["load", "diff"]);
    expect(after?.messages).toEqual([...stored.slice(0, 4), long("new", "n4"), m5]);
  });

  test("another writer between reading and writing costs one more attempt, with the chat locked", async () => {
    let sent = 0;
    const db: ChatDatabase = Object.create(database.db, {
      execute: {
        value: async (statement: Parameters<ChatDatabase["execute"]>[0]) => {
          // Before the diff is written.
          sent += 1;
          if (sent === 3) await database.query("update chat_store.chats set title = 'Other'");
          return database.db.execute(statement);
        },
      },
    });
    const { kinds, after } = await saveOf({ messages: stored.with(1, long("edited", "m1")) }, { db });
    const attempt = ["append", "digests", "diff"];
    expect(kinds).toEqual([...attempt, "begin", "lock", ...attempt, "commit"]);
    expect(after).toMatchObject({ version: 2, title: "Other" });
  });
});

describe("A save that changes nothing", () => {
  const edited = stored.with(1, long("edited", "m1"));
  test.each<[string, Partial<UpsertChatInput<UIMessage>>, string[], object]>([
    ["has all messages stored", {}, ["append", "digests"], { version: 1 }],
    ["has all stored and another version", { expectedVersion: 9 }, ["append", "digests"], { version: 1 }],
    ["has its title stored", { title: "Tides" }, ["append", "digests"], { version: 1 }],
    [
      "appends to another version",
      { messages: [...stored, long("new")], expectedVersion: 9 },
      ["append", "append", "digests"],
      { reason: "version", actualVersion: 1 },
    ],
    [
      "replaces the end of another version",
      { messages: stored.with(5, long("new")), expectedVersion: 9 },
      ["append", "replace", "digests"],
      { reason: "version", actualVersion: 1 },
    ],
    [
      "edits another version",
      { messages: edited, expectedVersion: 9 },
      ["append", "digests"],
      { reason: "version", actualVersion: 1 },
    ],
    ["renames another version", { title: "", expectedVersion: 9 }, ["append", "digests"], { reason: "version" }],
    ["comes from a stranger", { userId: "a stranger" }, ["append", "diff", "owner"], { code: "CHAT_NOT_OWNED" }],
    [
      "comes from a stranger, and is short",
      { userId: "a stranger", messages: [] },
      ["append", "diff", "owner"],
      { code: "CHAT_NOT_OWNED" },
    ],
    [
      "comes from a stranger who expects a version",
      { userId: "a stranger", expectedVersion: 1 },
      ["append", "owner"],
      { code: "CHAT_NOT_OWNED" },
    ],
    ["has the messages after one stored", { after: "m3", messages: [m4, m5] }, ["load"], { version: 1 }],
    ["follows a missing message", { after: "none" }, ["load"], { code: "INVALID_CHAT" }],
    ["follows itself", { after: "m3", messages: [m4, stored[0] as UIMessage] }, ["load"], { code: "INVALID_CHAT" }],
    [
      "follows a message of another version",
      { after: "m3", messages: [], expectedVersion: 9 },
      ["load"],
      { reason: "version" },
    ],
    ["follows a stranger's message", { userId: "a stranger", after: "m3" }, ["load"], { code: "INVALID_CHAT" }],
  ])("a save that %s", async (_, save, kinds, outcome) => {
    const saved = await saveOf(save);
    expect(saved.kinds).toEqual(kinds);
    expect(saved.outcome).toMatchObject(outcome);
    expect(saved.after).toEqual(saved.before);
  });

  test("a save of a chat that does not exist, with a version", async () => {
    const { kinds, outcome, after } = await saveOf({ expectedVersion: 1 }, { exists: false });
    expect(kinds).toEqual(["append", "owner"]);
    expect(outcome).toMatchObject({ reason: "gone", actualVersion: null });
    expect(after).toBeNull();
  });

  test.each<[string, UIMessage[], string[]]>([
    ["appends", [...stored, long("new")], ["append", "append", "digests", "diff"]],
    ["replaces the end", stored.with(5, long("new")), ["append", "replace", "digests", "diff"]],
    ["edits", edited, ["append", "digests", "diff"]],
  ])(
    "a save that %s gives up after 50 attempts where a trigger suppresses its update",
    async (_, messages, attempt) => {
      await database.query(`
      create function suppress() returns trigger language plpgsql as 'begin return null; end';
      create trigger suppress before update on chat_store.chats for each row execute function suppress()`);
      onTestFinished(async () => void (await database.query("drop function suppress cascade")));
      const saved = await saveOf({ messages });
      expect(saved.outcome).toMatchObject({ code: "QUERY_FAILED" });
      const lockedAttempts = Array.from({ length: 49 }, () => ["begin", "lock", ...attempt, "commit"]);
      expect(saved.kinds).toEqual([...attempt, ...lockedAttempts.flat()]);
      expect(saved.after).toEqual(saved.before);
    },
  );
});

describe("A long chat on a driver without transactions", () => {
  // From 10,001 on, they are one JSON parameter.
  test.each([1_001, 10_000, 10_001, 20_000])("the store writes %i messages in one statement", async (length) => {
    const store = createChatStore(noTransactions(database.db));
    const ids = { userId: owner, chatId: randomUUID() };
    const odd = ['{"a":1}', "\\", "'", "null", "é😀", "\u2028", "a\nb"];
    const by = (writer: string) =>
      conversation(length).map(({ role }, index) => ({
        ...say(role, `${writer} \u0000 \ud800 ${index}`, `${odd[index % odd.length]}${index}`),
        ...(index % 3 === 0 && { metadata: index % 2 === 0 ? null : { writer } }),
      }));
    const edited = by("ben");
    const saves: [UIMessage[], string[]][] = [
      [by("anna"), ["append", "diff"]],
      [edited, ["append", "digests", "diff"]],
      [edited.toReversed(), ["append", "digests", "diff"]],
      [edited.map((message) => ({ ...message, id: `new ${message.id}` })), ["append", "digests", "diff"]],
    ];
    for (const [index, [messages, kinds]] of saves.entries()) {
      const { statements } = await database.capture(() => store.upsertChat({ ...ids, messages }));
      expect(statements.map(({ text }) => kindOf(text))).toEqual(kinds);
      const chat = await store.getChat(ids);
      expect(chat?.version).toBe(index + 1);
      expect(chat?.messages).toEqual(messages);
    }
  });
});

test("with row-level security, a new chat and its messages take two statements", async () => {
  const ids = { userId: owner, chatId: randomUUID() };
  const store = createChatStore(database.db, { rowLevelSecurity: true });
  const { statements } = await database.capture(() => store.upsertChat({ ...ids, messages: stored }));
  const ofSettings = ({ text }: { text: string }) => text.includes("set_config(");
  const kinds = statements.filter((statement) => !ofSettings(statement)).map(({ text }) => kindOf(text));
  expect(kinds).toEqual(["begin", "append", "chat", "messages", "commit"]);
});

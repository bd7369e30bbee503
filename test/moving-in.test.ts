import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { UIMessage } from "ai";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type ChatStore, createChatStore, migrate } from "../src/index.ts";
import { createDatabase } from "./support/databases.ts";
import { temporaryFolder } from "./support/folder.ts";
import { blocksOf } from "./support/pages.ts";

const blocks = blocksOf("docs/moving-in.md");

/** What the page prints for one step, by the note above it. */
const printed = (note: string) => blocks.find((block) => block.note === note)?.text ?? expect.fail(`no block ${note}`);

let drop: () => Promise<void>;
let client: pg.Client;
let pool: pg.Pool;
let store: ChatStore;

beforeEach(async () => {
  const database = await createDatabase({ empty: true });
  drop = database.drop;
  client = new pg.Client(database.url);
  await client.connect();
  // Dates must not depend on it.
  await client.query("set time zone 'Asia/Kathmandu'");
  pool = new pg.Pool({ connectionString: database.url });
  pool.on("error", () => {});
  await migrate(drizzle(pool));
  store = createChatStore(drizzle(pool));
});
afterEach(async () => {
  await client.end();
  await pool.end();
  await drop();
});

const text = (words: string) => ({ type: "text" as const, text: words });
/** As tools give them: json keeps this text, and cannot be taken apart. */
const odd = [text("NUL \u0000 and half an emoji \ud83d"), { type: "tool-read", zebra: 1, apple: { "10": 2, "9": [] } }];
const plain = [text('Grüße, 🙂 and a \\ and a "quote"'), { type: "data-chart", id: "1", data: { z: null, a: 1.5 } }];

const expectMoved = async (
  userId: string,
  chatId: string,
  source: { title: string; createdAt: string; updatedAt: string; messages: unknown[] },
) => {
  const chat = await store.getChat({ userId, chatId });
  const { title, createdAt, updatedAt, messages } = source;
  expect(chat).toEqual({
    ...{ id: chatId, userId, title, version: 1, messages },
    ...{ createdAt: new Date(createdAt), updatedAt: new Date(updatedAt), archivedAt: null },
  });
  // The text of what is inside, with its keys in their order.
  expect(JSON.stringify(chat?.messages)).toBe(JSON.stringify(messages));
  await store.upsertChat({ userId, chatId, messages: chat?.messages ?? [] });
  expect(await store.getChat({ userId, chatId })).toEqual(chat);
};

const datesOf = async (chatId: string) => {
  const { rows } = await client.query<{ created_at: Date }>(
    `select created_at from chat_store.messages where chat_id = $1 order by "order"`,
    [chatId],
  );
  return rows.map(({ created_at }) => created_at.toISOString());
};

const uuid = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;

test("the printed statements move the tables of a tutorial", async () => {
  await client.query(printed("tutorial: tables"));
  await client.query(`insert into chats values
    ('${uuid(1)}', 'ada', 'Tides', '2024-03-01T10:00:00.123Z'), ('${uuid(2)}', 'eve', null, '2024-04-01T10:00:00Z')`);
  for (const [id, order, role, parts] of [
    ["m-2", 7, "assistant", odd],
    ["m-1", 3, "user", plain],
    ["m-3", 20, "user", [text("Thanks")]],
  ] as const) {
    await client.query(
      `insert into messages values ($1, '${uuid(1)}', $2, $3, $4::int, '2024-03-01T11:00:00Z'::timestamptz + $4::int * interval '1 minute')`,
      [id, role, JSON.stringify(parts), order],
    );
  }

  await client.query(printed("tutorial: views"));
  expect((await client.query(printed("find"))).rows).toEqual([]);
  await client.query(printed("move"));

  await expectMoved("ada", uuid(1), {
    title: "Tides",
    createdAt: "2024-03-01T10:00:00.123Z",
    updatedAt: "2024-03-01T11:20:00Z",
    messages: [
      { id: "m-1", role: "user", parts: plain },
      { id: "m-2", role: "assistant", parts: odd },
      { id: "m-3", role: "user", parts: [text("Thanks")] },
    ],
  });
  await expectMoved("eve", uuid(2), {
    title: "",
    createdAt: "2024-04-01T10:00:00Z",
    updatedAt: "2024-04-01T10:00:00Z",
    messages: [],
  });
  expect(await datesOf(uuid(1))).toEqual(["03", "07", "20"].map((minute) => `2024-03-01T11:${minute}:00.000Z`));
});

/** The columns, types and keys of the template's first migration, as of November 2026. */
const template = `
create table "User" (id uuid primary key default gen_random_uuid() not null, email varchar(64) not null);
create table "Chat" (
  id uuid primary key default gen_random_uuid() not null, "createdAt" timestamp not null, title text not null,
  "userId" uuid not null references "User" (id), visibility varchar not null default 'private');
create table "Message_v2" (
  id uuid primary key default gen_random_uuid() not null, "chatId" uuid not null references "Chat" (id),
  role varchar not null, parts json not null, attachments json not null, "createdAt" timestamp not null);`;

test("the printed statements move the tables of the Vercel chat template", async () => {
  await client.query(template);
  await client.query(`insert into "User" values ('${uuid(9)}', 'ada@example.com')`);
  await client.query(`insert into "Chat" values ('${uuid(1)}', '2024-03-01 10:00:00.123', 'Tides', '${uuid(9)}')`);
  // Stored at the same moment, the later ids first.
  const rows = [
    [uuid(3), "user", plain, "2024-03-01 10:00:00.2"],
    [uuid(8), "assistant", odd, "2024-03-01 10:00:05.5"],
    [uuid(7), "assistant", [text("And more")], "2024-03-01 10:00:05.5"],
    [uuid(2), "user", [text("Thanks")], "2024-03-01 10:01:00"],
  ] as const;
  for (const [id, role, parts, at] of rows) {
    await client.query(`insert into "Message_v2" values ($1, '${uuid(1)}', $2, $3, '[]', $4)`, [
      ...[id, role, JSON.stringify(parts), at],
    ]);
  }

  await client.query(printed("template: views"));
  expect((await client.query(printed("find"))).rows).toEqual([]);
  expect((await client.query(printed("template: attachments"))).rows).toEqual([]);
  await client.query(printed("move"));

  await expectMoved(uuid(9), uuid(1), {
    title: "Tides",
    createdAt: "2024-03-01T10:00:00.123Z",
    updatedAt: "2024-03-01T10:01:00Z",
    messages: rows.map(([id, role, parts]) => ({ id, role, parts })),
  });
  expect(await datesOf(uuid(1))).toEqual([
    "2024-03-01T10:00:00.200Z",
    ...["05.500", "05.500"].map((seconds) => `2024-03-01T10:00:${seconds}Z`),
    "2024-03-01T10:01:00.000Z",
  ]);

  await client.query(`update "Message_v2" set attachments = '[{"url":"https://example.com"}]' where id = '${uuid(3)}'`);
  expect((await client.query(printed("template: attachments"))).rows).toEqual([{ id: uuid(3), chatId: uuid(1) }]);
});

test("the printed statements move one JSON array for each chat, also arrays that Postgres cannot take apart", async () => {
  const conversations = [
    [
      { id: "1", role: "user", parts: plain },
      { id: "2", role: "assistant", metadata: { model: "x", zebra: 1, apple: null }, parts: [text("Yes.")] },
      { id: "3", role: "assistant", metadata: null, parts: [] },
    ],
    [{ id: "1", role: "assistant", metadata: { note: "\u0000" }, parts: odd }],
    [],
  ];
  await client.query(printed("array: tables"));
  for (const [n, messages] of conversations.entries()) {
    await client.query(
      "insert into conversations values ($1, 'ada', $2, $3, '2024-03-01T10:00:00.5Z', '2024-03-02T10:00:00.25Z')",
      [`chat ${n}`, n === 2 ? null : `Chat ${n}`, JSON.stringify(messages)],
    );
  }

  await client.query(printed("array: views"));
  expect((await client.query(printed("find"))).rows).toEqual([]);
  await client.query(printed("move"));
  await runModule(printed("array: the rest"), { pool, store });
  await client.query(printed("array: dates"));

  for (const [n, messages] of conversations.entries()) {
    await expectMoved("ada", `chat ${n}`, {
      title: n === 2 ? "" : `Chat ${n}`,
      createdAt: "2024-03-01T10:00:00.5Z",
      updatedAt: "2024-03-02T10:00:00.25Z",
      messages,
    });
    expect(await datesOf(`chat ${n}`)).toEqual(messages.map(() => "2024-03-01T10:00:00.500Z"));
  }
});

const folder = temporaryFolder("moving-in");

/** A block of the page as it is printed, next to the names that it finds in the application. */
async function runModule(source: string, application: Record<string, unknown>) {
  const block = join(folder, `${randomUUID()}.ts`);
  Object.assign(globalThis, { application });
  const names = Object.keys(application).join(", ");
  await writeFile(block, `const { ${names} } = globalThis.application;\n${source}`);
  await import(/* @vite-ignore */ block);
}

describe("chats that the new tables would refuse", () => {
  const long = "x".repeat(256);
  const message = (id: unknown, rest: object = {}) => ({ id, role: "user", parts: [], ...rest });
  const kinds: [string, { id?: string; userId?: string; title?: string; messages: unknown[] }, string, unknown?][] = [
    [
      "ids that are used twice",
      { messages: [message("1"), message("1")] },
      "message ids are unique within a chat",
      "1",
    ],
    ["a message without an id", { messages: [message(undefined)] }, "a message has an id of 1 to 255 characters", null],
    ["an empty id", { messages: [message("")] }, "a message has an id of 1 to 255 characters", ""],
    ["a long id", { messages: [message(long)] }, "a message has an id of 1 to 255 characters", long],
    ["a long role", { messages: [message("1", { role: long })] }, "a message has a role of 1 to 255 characters", "1"],
    ["no role", { messages: [message("1", { role: undefined })] }, "a message has a role of 1 to 255 characters", "1"],
    ["no parts", { messages: [message("1", { parts: undefined })] }, "parts are an array", "1"],
    ["parts that are a text", { messages: [message("1", { parts: "Hi" })] }, "parts are an array", "1"],
    ["a chat with a long id", { id: long, messages: [] }, "a chat has an id of 1 to 255 characters"],
    ["no user", { userId: "", messages: [] }, "a chat belongs to a user, whose id has 1 to 255 characters"],
    ["a long title", { title: "x".repeat(1_001), messages: [] }, "a title has at most 1,000 characters"],
    ["an id that is taken", { id: "taken", messages: [] }, "the id is not taken in the new tables"],
  ];

  test.each(kinds)(
    "the printed query finds %s before the move",
    async (_, { id = "chat", userId = "ada", title, messages }, problem, of = null) => {
      await store.upsertChat({ userId: "ada", chatId: "taken", messages: [] });
      await client.query(printed("array: tables"));
      await client.query("insert into conversations values ($1, $2, $3, $4)", [
        id,
        userId,
        title,
        JSON.stringify(messages),
      ]);
      await client.query(printed("array: views"));
      expect((await client.query(printed("find"))).rows).toEqual([{ chat_id: id, id: of, problem }]);
    },
  );

  test("the printed query finds a message without a chat, which only a wrong view can have", async () => {
    await client.query(`create temporary view moving_messages as
      select 'gone' chat_id, '1' id, 1 place, 'user' "role", '[]'::json parts, null::json metadata, now() created_at;
      create temporary view moving_chats as select id, user_id, title, created_at, updated_at from chat_store.chats where false`);
    expect((await client.query(printed("find"))).rows).toEqual([
      { chat_id: "gone", id: "1", problem: "a message belongs to a chat" },
    ]);
  });

  test("the tables refuse the whole move when one chat repeats a message id", async () => {
    await client.query(printed("array: tables"));
    const messages: UIMessage[] = [1, 2].map(() => ({ id: "same", role: "user", parts: [] }));
    await client.query("insert into conversations values ('good', 'ada', '', '[]'), ('bad', 'ada', '', $1)", [
      JSON.stringify(messages),
    ]);
    await client.query(printed("array: views"));
    await expect(client.query(printed("move"))).rejects.toMatchObject({ code: "23505" });
    await client.query("rollback");
    expect(await store.getChats({ userId: "ada" })).toEqual([]);
  });
});

import { afterAll, beforeAll, expect, test } from "vitest";
import { createChatStore, migrate } from "../../src/index.ts";
import { say } from "../support/conversations.ts";
import { databases, type TestDatabase } from "../support/databases.ts";
import { sqlShaped } from "../support/fuzz/hostile.ts";

const [, nodePostgres] = databases as [unknown, (typeof databases)[number]];
let database: TestDatabase;
beforeAll(async () => {
  database = await nodePostgres.open({ empty: true });
});
afterAll(() => database.close());

const schemas = async () =>
  (await database.query<{ name: string }>("select nspname as name from pg_namespace order by 1")).map(
    ({ name }) => name,
  );

const names = [
  ...sqlShaped,
  'semi;colon "quoted"',
  "a.b",
  "chats",
  "select",
  "UPPER and lower",
  "語".repeat(21),
  "x".repeat(63),
];
test.each(names)("migrate, called twice, puts the tables into a schema of exactly this name: %s", async (schema) => {
  const before = await schemas();
  await migrate(database.db, { schema });
  await migrate(database.db, { schema });
  expect((await schemas()).filter((name) => !before.includes(name))).toEqual([schema]);

  const store = createChatStore(database.db, { schema });
  const messages = [say("user", "Hi")];
  await store.upsertChat({ userId: "u", chatId: "c", title: schema, messages });
  expect(await store.getChat({ userId: "u", chatId: "c" })).toMatchObject({ title: schema, messages });
  expect(await store.getChats({ userId: "u" })).toHaveLength(1);
});

// Postgres cuts a name after 63 bytes, which would put two tenants into one schema.
test.each([null, "", "pg_mine", "public", "a\0b", "x".repeat(64), "語".repeat(22)])(
  "migrate and createChatStore refuse the schema name %j and change nothing",
  async (name) => {
    const options = { schema: name as string };
    const before = await schemas();
    const refusal = { code: "INVALID_CHAT", issues: [{ path: ["schema"] }] };
    await expect(migrate(database.db, options)).rejects.toMatchObject(refusal);
    expect(() => createChatStore(database.db, options)).toThrow(expect.objectContaining({ code: "INVALID_CHAT" }));
    expect(await schemas()).toEqual(before);
    const tables = "select 1 from pg_tables where tablename in ('chats', 'messages') and schemaname = any($1)";
    expect(await database.query(tables, [["", "public"]])).toEqual([]);
  },
);

import { sql } from "drizzle-orm";
import pg from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import { createChatStore, migrate } from "../../src/index.ts";
import { conversation } from "../support/conversations.ts";
import {
  createDatabase,
  type Driver,
  databasesWithoutTransactions,
  postgresJsThroughPgBouncer,
} from "../support/databases.ts";
import { pgBouncerVersion, startPgBouncer } from "../support/pgbouncer.ts";

/** What the table in docs/compatibility.md says does not work. */

const open = async (driver: Driver, options?: { empty: boolean }) => {
  const database = await driver.open(options);
  onTestFinished(database.close);
  return database;
};

describe.each(databasesWithoutTransactions)("$name, which has no transactions", (driver) => {
  test("migrate fails without transactions, and leaves nothing behind", async () => {
    const { db, query } = await open(driver, { empty: true });
    await expect(migrate(db)).rejects.toMatchObject({
      code: "MIGRATION_FAILED",
      migration: null,
      cause: { message: expect.stringMatching(/transactions/i) },
    });
    expect(await query("select from pg_namespace where nspname = 'chat_store'")).toEqual([]);
  });

  test("a portable save fails without transactions, and stores nothing", async () => {
    const { db, migrator } = await open(driver);
    await migrate(migrator);
    const save = createChatStore(db, { portable: true }).upsertChat({
      userId: "u",
      chatId: "c",
      messages: conversation(2),
    });
    await expect(save).rejects.toMatchObject({
      code: "QUERY_FAILED",
      cause: { message: expect.stringMatching(/transactions/i) },
    });
    expect(await createChatStore(db).getChats({ userId: "u" })).toEqual([]);
  });
});

describe.each(databasesWithoutTransactions)("$name, where every save is one statement", (driver) => {
  // A statement has 65,535 parameters at most, which is what 13,107 messages of five columns would take. From 10,001 on
  // they are one parameter.
  test.each([10_000, 10_001, 13_108, 22_000])("upsertChat saves, edits and reverses %i messages", async (length) => {
    const { db, migrator } = await open(driver);
    await migrate(migrator);
    const store = createChatStore(db);
    const ids = { userId: "u", chatId: "c" };
    for (const messages of [conversation(length), conversation(length, 30), conversation(length, 30).toReversed()]) {
      await store.upsertChat({ ...ids, messages });
      expect((await store.getChat(ids))?.messages).toEqual(messages);
    }
  });
});

describe("PgBouncer", () => {
  test("PgBouncer has the version that docs/compatibility.md names", async () => {
    const bouncer = await startPgBouncer("postgres://127.0.0.1");
    onTestFinished(bouncer.stop);
    expect(bouncer.version).toBe(pgBouncerVersion);
  });

  // Its `commit` is a named statement, which is not there on another server connection. Postgres aborts the transaction,
  // postgres.js prepares the statement again, and commits what is to be rolled back by then: without an error.
  test("PgBouncer loses transactions of postgres.js without `prepare: false`", async () => {
    const { db, query } = await open(postgresJsThroughPgBouncer);
    await query("create table saved (id int)");
    const insert = (id: number) => db.transaction((tx) => tx.execute(sql`insert into saved values (${id}::int)`));
    await Promise.all(Array.from({ length: 20 }, (_, index) => insert(index)));
    await Promise.all(Array.from({ length: 20 }, (_, index) => insert(20 + index)));

    const [saved] = await query<{ count: number }>("select count(*)::int from saved");
    expect(saved?.count).toBeLessThan(40);
  });

  test.each(["options=-c%20statement_timeout=1000", "statement_timeout=1000"])(
    "PgBouncer refuses connections of node-postgres with %s",
    async (setting) => {
      const { url, drop } = await createDatabase();
      onTestFinished(drop);
      const bouncer = await startPgBouncer(url);
      onTestFinished(bouncer.stop);
      const client = new pg.Client(`${bouncer.url}?${setting}`);
      await expect(client.connect()).rejects.toThrow("unsupported startup parameter");
    },
  );
});

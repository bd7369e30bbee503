// Projects: main, drivers, postgres, drizzle.
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { afterEach, describe, expect, inject, test } from "vitest";
import { createChatStore, type MigrationError, migrate } from "../../src/index.ts";
import { diagnose } from "../../src/migrate/doctor.ts";
import { applyMigrations } from "../../src/migrate/migrate.ts";
import { migrations } from "../../src/migrate/migrations.ts";
import { CacheOfEverything } from "../support/cache.ts";
import { conversation } from "../support/conversations.ts";
import { createDatabase, type Driver, databases, servers, type TestDatabase } from "../support/databases.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** A plainer one, for a Drizzle that does not know better. */
    schemaName: string;
  }
}

const opened: TestDatabase[] = [];
const openWith = async ({ open }: Pick<Driver, "open">) => {
  const database = await open({ empty: true });
  opened.push(database);
  return database;
};
afterEach(async () => {
  await Promise.all(opened.splice(0).map((database) => database.close()));
});

/** Every object there is outside Postgres's own schemas, with what defines it. */
const catalog = ({ query }: TestDatabase) =>
  query(`
    select n.nspname, c.relname, c.relkind, a.attname, format_type(a.atttypid, a.atttypmod) as type, a.attnotnull,
           pg_get_expr(d.adbin, d.adrelid) as expression, c.oid::text
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 left join pg_attrdef d on (d.adrelid, d.adnum) = (c.oid, a.attnum)
    where n.nspname !~ '^(pg_|information_schema)' order by 1, 2, a.attnum`);

const failureOf = (work: Promise<unknown>) =>
  work.then(
    () => expect.fail("it succeeded"),
    (error: MigrationError) => error,
  );

test("the inlined list of migrations equals the migrations folder, in order", () => {
  const files = readdirSync("migrations").filter((name) => name.endsWith(".sql"));
  expect(migrations.map(({ name }) => `${name}.sql`)).toEqual(files);
  expect(migrations.map(({ version }) => version)).toEqual(files.map((_, index) => index + 1));
  for (const { name, statements } of migrations) {
    expect(statements.join("")).toBe(
      readFileSync(`migrations/${name}.sql`, "utf8")
        .split(/\s*--> statement-breakpoint\s*/)
        .join(""),
    );
  }
});

test("migrate reads past Drizzle's cache, and does nothing on tables that it has made", async () => {
  const cache = new CacheOfEverything();
  const { url, drop } = await createDatabase({ empty: true });
  const pool = new pg.Pool({ connectionString: url });
  pool.on("error", () => {});
  try {
    const cached = drizzle({ client: pool, cache });
    await migrate(cached);
    await migrate(cached);
    expect((await diagnose(cached, "chat_store")).differences).toEqual([]);
    expect(cache.kept.size).toBe(0);
  } finally {
    await pool.end();
    await drop();
  }
});

describe.each(databases)("migrate on $name", (kind) => {
  test("migrate creates all tables of an empty database in the schema chat_store", async () => {
    const database = await openWith(kind);
    await migrate(database.db);
    const tables = await database.query(
      "select schemaname, tablename from pg_tables where schemaname !~ '^(pg_|information_schema)' order by 2",
    );
    expect(tables).toEqual([
      { schemaname: "chat_store", tablename: "branches" },
      { schemaname: "chat_store", tablename: "chats" },
      { schemaname: "chat_store", tablename: "messages" },
      { schemaname: "chat_store", tablename: "migrations" },
      { schemaname: "chat_store", tablename: "turn_chunks" },
      { schemaname: "chat_store", tablename: "turns" },
    ]);
    expect(await database.query("select version, name, breaking from chat_store.migrations")).toEqual([
      { version: 1, name: "0000_chats", breaking: false },
      { version: 2, name: "0001_lifecycle", breaking: false },
      { version: 3, name: "0002_pages", breaking: false },
      { version: 4, name: "0003_turns", breaking: false },
      { version: 5, name: "0004_branches", breaking: false },
    ]);
  });

  test("migrate changes nothing when run again, and leaves the chats alone", async () => {
    const database = await openWith(kind);
    await migrate(database.db);
    const store = createChatStore(database.db);
    await store.upsertChat({ userId: "u", chatId: "c", messages: conversation(3) });
    const before = await catalog(database);
    await migrate(database.db);
    expect(await catalog(database)).toEqual(before);
    expect((await store.getChat({ userId: "u", chatId: "c" }))?.messages).toEqual(conversation(3));
  });

  test("migrate puts a second installation into a schema of another name, beside the first", async () => {
    const database = await openWith(kind);
    const schema = inject("schemaName") ?? `it's a "schema" for $& and $1`;
    await migrate(database.db);
    await migrate(database.db, { schema });
    const [first, second] = [createChatStore(database.db), createChatStore(database.db, { schema })];
    await second.upsertChat({ userId: "u", chatId: "c", messages: conversation(4) });
    await second.upsertChat({ userId: "u", chatId: "c", messages: conversation(1) });
    expect(await first.getChats({ userId: "u" })).toEqual([]);
    expect((await second.getChat({ userId: "u", chatId: "c" }))?.messages).toEqual(conversation(1));
  });

  test("migrate takes part in a transaction of the caller", async () => {
    const database = await openWith(kind);
    const before = await catalog(database);
    const rolledBack = database.db.transaction(async (tx) => {
      await migrate(tx);
      throw new Error("for the transaction to roll back");
    });
    await expect(rolledBack).rejects.toThrow("for the transaction to roll back");
    expect(await catalog(database)).toEqual(before);
  });

  test("migrate changes nothing in a database to which a newer version of the package has added", async () => {
    const database = await openWith(kind);
    await migrate(database.db);
    await database.query("insert into chat_store.migrations values (6, '0005_added', false)");
    const before = await catalog(database);
    await migrate(database.db);
    expect(await catalog(database)).toEqual(before);
    expect(await database.query("select version from chat_store.migrations order by 1")).toHaveLength(6);
  });

  test("migrate refuses a database with breaking migrations of a newer version of the package, and names them", async () => {
    const database = await openWith(kind);
    await migrate(database.db);
    await database.query(`insert into chat_store.migrations values
      (6, '0005_added', false), (7, '0006_dropped', true), (8, '0007_added', false), (9, '0008_renamed', true)`);
    const error = await failureOf(migrate(database.db));
    expect(error).toMatchObject({ code: "MIGRATION_FAILED", migration: "0006_dropped" });
    expect(error.message).toMatch(
      /breaking migrations 0006_dropped, 0008_renamed in .* up to version 5 \(0004_branches\).*Update the package/,
    );
  });

  test.each(["metadata jsonb", "archived_at timestamptz", "claimed_from uuid"])(
    "migrate refuses the application's column %s, which has the name of a new one, and changes nothing",
    async (column) => {
      const database = await openWith(kind);
      await applyMigrations(database.db, "chat_store", undefined, migrations.slice(0, 1));
      await database.query(`alter table chat_store.chats add column ${column}`);
      const before = await catalog(database);
      const error = await failureOf(migrate(database.db));
      expect(error).toMatchObject({ code: "MIGRATION_FAILED", migration: "0001_lifecycle" });
      expect(error.message).toMatch(/42701.*A column of that name exists already: rename/);
      expect(await catalog(database)).toEqual(before);
    },
  );

  test("migrate names the migration that failed, keeps the cause, and leaves nothing behind", async () => {
    const database = await openWith(kind);
    await database.query("create schema chat_store");
    await database.query("create table chat_store.messages (of_somebody_else text)");
    const before = await catalog(database);
    const error = await failureOf(migrate(database.db));
    expect(error).toMatchObject({ code: "MIGRATION_FAILED", migration: "0000_chats" });
    expect(error.message).toContain("42P07");
    expect(error.cause).toBeInstanceOf(Error);
    expect(await catalog(database)).toEqual(before);
  });
});

describe.each(servers)("migrate from many processes on $name", (kind) => {
  test("eight calls of migrate at once on an empty database all succeed, ten times over", async () => {
    for (let round = 0; round < 10; round++) {
      const database = await openWith(kind);
      await Promise.all(Array.from({ length: 8 }, () => migrate(database.db)));
      expect(await database.query("select count(*)::int as applied from chat_store.migrations")).toEqual([
        { applied: migrations.length },
      ]);
    }
  });

  test("eight calls of migrate at once also succeed where transactions are serializable by default", async () => {
    const database = await openWith(kind);
    await database.query(`do $$ begin
      execute format('alter database %I set default_transaction_isolation to serializable', current_database());
    end $$`);
    await Promise.all(Array.from({ length: 8 }, () => migrate(database.db)));
    expect(await database.query("select count(*)::int as applied from chat_store.migrations")).toEqual([
      { applied: migrations.length },
    ]);
  });

  test("migrate refuses a database in another encoding than UTF8, and doctor reports the encoding", async () => {
    const database = await openWith(kind);
    const [{ name } = expect.fail()] = await database.query<{ name: string }>("select current_database() as name");
    const latin = `${name}_latin`;
    await database.query(`create database ${latin} encoding 'LATIN1' template template0 lc_collate 'C' lc_ctype 'C'`);
    const url = Object.assign(new URL(inject("postgresUrl")), { pathname: `/${latin}` }).href;
    const client = new pg.Client(url);
    await client.connect();
    try {
      const db = drizzle({ client });
      await expect(migrate(db)).rejects.toMatchObject({
        code: "MIGRATION_FAILED",
        message: expect.stringMatching(/encoding is LATIN1, .* Expected UTF8/),
      });
      expect((await client.query("select from pg_namespace where nspname = 'chat_store'")).rowCount).toBe(0);
      expect((await diagnose(db, "chat_store")).differences).toContainEqual({
        kind: "changed",
        object: "database encoding",
        expected: "UTF8",
        found: "LATIN1",
        advice: expect.stringContaining("move to a database with the expected encoding"),
      });
    } finally {
      await client.end();
      await database.query(`drop database ${latin}`);
    }
  });

  test("a role that may not create schemas can migrate into an existing one", async () => {
    const database = await openWith(kind);
    // Roles belong to the server, which other runs of this file share.
    const role = `migrator_${randomUUID().replaceAll("-", "_")}`;
    await database.query(`create role ${role}`);
    try {
      await database.query(`create schema chat_store authorization ${role}`);
      await database.db.transaction(async (tx) => {
        await tx.execute(sql.raw(`set local role ${role}`));
        await migrate(tx);
      });
      expect(await database.query("select tableowner from pg_tables where tablename = 'chats'")).toEqual([
        { tableowner: role },
      ]);
    } finally {
      await database.query(`drop owned by ${role} cascade`);
      await database.query(`drop role ${role}`);
    }
  });
});

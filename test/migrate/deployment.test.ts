import { randomUUID } from "node:crypto";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { describeDiagnosis } from "../../src/cli/doctor.ts";
import { type ChatDatabase, createChatStore, migrate } from "../../src/index.ts";
import { diagnose } from "../../src/migrate/doctor.ts";
import { applyMigrations } from "../../src/migrate/migrate.ts";
import { migrationScript } from "../../src/migrate/migration-script.ts";
import { type Migration, migrations } from "../../src/migrate/migrations.ts";
import { statusOf } from "../../src/migrate/status.ts";
import { say } from "../support/conversations.ts";
import { openWith, pools, type TestDatabase } from "../support/databases.ts";
import { deploy, type Version } from "../support/deployment.ts";
import { eventually } from "../support/eventually.ts";
import { newerMigrations } from "../support/newer-package.ts";
import { importRelease } from "../support/releases.ts";

// The older package is this one, which is what will be there when a newer one comes. That passes for the newer one with a
// migration more. That the older one works on its tables is also what the contract suite shows. The one before this was published.
const older = migrations;
const newer = newerMigrations;
const breaking: Migration = {
  version: newer.length + 1,
  name: "9999_breaking",
  breaking: true,
  statements: [`ALTER TABLE "chat_store"."chats" DROP COLUMN "title"`],
};

const opened: TestDatabase[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((database) => database.close()));
});

/** This version, with branches: that adds statements to saves that replace messages. */
const createBranchingStore = (db: ChatDatabase) => createChatStore(db, { branches: true });
const thatKnows = (known: readonly Migration[]): Version => ({
  createChatStore: createBranchingStore,
  migrate: (db) => applyMigrations(db, "chat_store", undefined, known),
});

let published: Version;
beforeAll(async () => {
  const { remove, ...version } = await importRelease("0.1.0");
  published = version;
  return remove;
});

describe.each(pools)("a deployment on $name", ({ connect }) => {
  const openOlder = async () => {
    const database = await openWith(connect, { empty: true });
    opened.push(database);
    await migrate(database.db);
    return database;
  };
  const ledger = ({ query }: TestDatabase) =>
    query("select version, name, breaking from chat_store.migrations order by version");
  const lines = (list: readonly Migration[]) =>
    list.map(({ version, name, breaking }) => ({ version, name, breaking }));

  test.each([
    { name: "this and a newer version", versions: () => [thatKnows(older), thatKnows(newer)] as const, known: newer },
    {
      name: "0.1.0 and this version",
      versions: () => [published, { createChatStore: createBranchingStore, migrate }] as const,
      known: older,
    },
  ])(
    "processes of $name serve side by side during the migration, then the new ones alone, then old ones again",
    async ({ versions, known }) => {
      const [before, after] = versions();
      const database = await openWith(connect, { empty: true });
      opened.push(database);
      const { db } = database;
      await before.migrate(db);
      const shared = randomUUID();

      const old = deploy(db, before, 4, shared);
      await old.served(8);
      expect(await ledger(database)).not.toEqual(lines(known));
      const young = deploy(db, after, 4, shared);
      await Promise.all([old.served(20), young.served(20)]);
      expect(await ledger(database)).toEqual(lines(known));
      const restarted = deploy(db, before, 2, shared);
      await Promise.all([old.served(8), young.served(8), restarted.served(4)]);
      await Promise.all([old.stop(), restarted.stop()]);
      await young.served(8);
      const rolledBack = deploy(db, before, 4, shared);
      await rolledBack.served(8);
      await young.stop();
      await rolledBack.served(8);
      await rolledBack.stop();

      // All that was confirmed is there, nothing else, and each answer right after its question.
      const confirmed = [old, young, restarted, rolledBack].flatMap((processes) => processes.confirmed);
      const inOrder = <Row extends { id: string }>(rows: Row[]) => rows.sort((a, b) => (a.id < b.id ? -1 : 1));
      const stored = await database.query<{ chatId: string; id: string }>(
        'select chat_id as "chatId", id from chat_store.messages',
      );
      expect(inOrder(stored)).toEqual(inOrder(confirmed));
      const roles = await database.query(
        'select role from chat_store.messages where chat_id = $1 and "order" % 2 = 0 group by role',
        [shared],
      );
      expect(roles).toEqual([{ role: "user" }]);
      // Of the answers that were replaced, each that a store with branches replaced is a branch, and no other one.
      const keeping = before === published ? [young] : [old, young, restarted, rolledBack];
      const kept = await database.query<{ chatId: string; id: string }>(
        'select chat_id as "chatId", message->>0 as id from chat_store.branches, json_array_elements(messages) message',
      );
      expect(inOrder(kept)).toEqual(inOrder(keeping.flatMap(({ replaced }) => replaced)));
      expect(await ledger(database)).toEqual(lines(known));
    },
    120_000,
  );

  test("0.1.0 works on chats that this version has changed", async () => {
    const database = await openOlder();
    const [ids, store, before] = [
      { userId: "u", chatId: "c" },
      createChatStore(database.db),
      published.createChatStore(database.db),
    ];
    const messages = [say("user", "1", "1"), say("assistant", "2", "2"), say("user", "3", "3"), say("user", "4", "4")];
    await before.upsertChat({ ...ids, messages });
    await store.updateChat({ ...ids, title: "Tides", archived: true, metadata: { a: 1 } });
    await store.deleteMessage({ ...ids, messageId: "2" });
    await store.updateMessage({ ...ids, message: say("user", "three", "3") });
    await store.forkChat({ ...ids, newChatId: "fork", throughMessageId: "3" });
    expect(await before.getChat(ids)).toMatchObject({ title: "Tides", version: 3, messages: { length: 3 } });
    // It does not know of the archive, and shows all.
    expect((await before.getChats(ids)).map(({ id }) => id).sort()).toEqual(["c", "fork"]);
    const turn = await before.startTurn({ ...ids, message: say("user", "5", "5") });
    await turn.persist.onEnd({ responseMessage: say("assistant", "6", "6") });
    await before.upsertChat({ ...ids, chatId: "fork", messages: [say("user", "7", "7")] });
    // What it saves leaves alone what it does not know.
    expect(await store.getChat(ids)).toMatchObject({ archivedAt: expect.any(Date), metadata: { a: 1 }, version: 5 });
    // A claim under a turn of its takes the chat along, and its answer is lost, as it was with that version.
    const guest = await before.startTurn({ ...ids, message: say("user", "8", "8") });
    await store.claimChats({ fromUserId: "u", userId: "heir" });
    await expect(guest.persist.onEnd({ responseMessage: say("assistant", "9") })).rejects.toMatchObject({
      code: "CHAT_CONFLICT",
    });
    expect(await store.deleteAllChats({ userId: "heir" })).toBe(2);
  });

  test("saves go on while a migration waits for another transaction", async () => {
    const database = await openOlder();
    const store = createChatStore(database.db);
    await database.query("begin");
    await database.query("select from chat_store.turns");
    const migrating = applyMigrations(database.db, "chat_store", undefined, newer);
    const attempts = () =>
      database.query(
        "select from pg_locks where relation = 'chat_store.chats'::regclass and mode = 'AccessExclusiveLock'",
      );
    await expect.poll(attempts).toHaveLength(1);
    for (let count = 1; count <= 20; count++) {
      await store.upsertChat({ userId: "u", chatId: "c", messages: [say("user", `${count}`)] });
      await database.query("select pg_sleep(0.02)");
    }
    expect(await ledger(database)).toEqual(lines(older));
    await database.query("commit");
    await migrating;
    expect(await ledger(database)).toEqual(lines(newer));
  });

  test("chats can be read while a migration builds an index, and saves wait for it", async () => {
    const database = await openOlder();
    const store = createChatStore(database.db);
    const ids = { userId: "u", chatId: "c" };
    await store.upsertChat({ ...ids, messages: [say("user", "1")] });
    await database.query("drop index chat_store.messages_order_idx");
    await database.query("delete from chat_store.migrations where version = 3");
    // Holds up the migration when it has built the index, and is about to write that into the ledger.
    await database.query("begin");
    await database.query("lock table chat_store.migrations in share mode");
    const migrating = applyMigrations(database.db, "chat_store", undefined, older);
    const waiting = (table: string) =>
      database.query(`select from pg_locks where relation = 'chat_store.${table}'::regclass and not granted`);
    await eventually("the migration waits for the ledger", async () => (await waiting("migrations")).length === 1);

    expect(await store.getChat(ids)).toMatchObject({ messages: [{ parts: [{ text: "1" }] }] });
    expect(await store.getChats({ userId: "u", limit: 5 })).toHaveLength(1);
    expect((await store.getMessages({ ...ids, limit: 5 }))?.messages).toHaveLength(1);
    expect((await store.searchChats({ userId: "u", query: "1" })).matches).toHaveLength(1);
    const saving = store.upsertChat({ ...ids, messages: [say("user", "2")] });
    await eventually("the save waits for the migration", async () => (await waiting("chats")).length === 1);

    await database.query("commit");
    await migrating;
    await saving;
    expect((await diagnose(database.db, "chat_store", older)).differences).toEqual([]);
  });

  test.each<[string, (database: TestDatabase) => Promise<unknown>]>([
    ["migrate", ({ db }) => applyMigrations(db, "chat_store", undefined, older)],
    ["the SQL of the command sql", ({ query }) => query(migrationScript("chat_store", 2, older.slice(0, 3)))],
  ])("%s builds an index anew whose concurrent build has failed", async (_, update) => {
    const database = await openOlder();
    await database.query("drop index chat_store.messages_order_idx");
    await database.query("delete from chat_store.migrations where version = 3");
    const store = createChatStore(database.db);
    await store.upsertChat({ userId: "u", chatId: "c", messages: [say("user", "1"), say("user", "2")] });
    const failing = database.query("create unique index concurrently messages_order_idx on chat_store.messages (role)");
    await expect(failing).rejects.toThrow("could not create unique index");

    await update(database);
    expect(await ledger(database)).toEqual(lines(older));
    expect((await diagnose(database.db, "chat_store", older)).differences).toEqual([]);
  });

  test("migrate keeps an index that was built beforehand", async () => {
    const database = await openOlder();
    await database.query("delete from chat_store.migrations where version = 3");
    const index = () => database.query("select 'chat_store.messages_order_idx'::regclass::oid");
    const before = await index();
    await applyMigrations(database.db, "chat_store", undefined, older);
    expect(await index()).toEqual(before);
    expect(await ledger(database)).toEqual(lines(older));
  });

  test("an older package finds the additions of a newer one compatible, and no damage", async () => {
    const database = await openOlder();
    await applyMigrations(database.db, "chat_store", undefined, newer);
    await applyMigrations(database.db, "chat_store", () => expect.fail("applied a migration"), older);
    expect(await statusOf(database.db, "chat_store", older)).toMatchObject({
      state: "newer",
      newer: lines(newer.slice(older.length)),
    });
    const diagnosis = await diagnose(database.db, "chat_store", older);
    expect(diagnosis.differences).toEqual([]);
    expect(describeDiagnosis(diagnosis, "chat_store")).toMatch(/^Added since.*\n {2}migration \d+: 9998_additive\n/m);
  });

  test("the SQL that a newer package prints applies the same migrations as migrate", async () => {
    const database = await openOlder();
    await database.query(migrationScript("chat_store", older.length, newer));
    expect(await ledger(database)).toEqual(lines(newer));
    expect(await statusOf(database.db, "chat_store", newer)).toMatchObject({ state: "current" });
  });

  test("an older package refuses a migration that is breaking for it, and changes nothing", async () => {
    const database = await openOlder();
    await applyMigrations(database.db, "chat_store", undefined, [...newer, breaking]);
    const everything = () =>
      database.query(`select c.oid, c.xmin::text, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid
        where c.relnamespace = 'chat_store'::regnamespace order by 1, a.attnum`);
    const before = await everything();
    await expect(migrate(database.db)).rejects.toMatchObject({
      code: "MIGRATION_FAILED",
      migration: "9999_breaking",
      message: expect.stringMatching(/9999_breaking.*Update the package/),
    });
    expect(await everything()).toEqual(before);
    expect(await ledger(database)).toEqual(lines([...newer, breaking]));
  });
});

import { randomUUID } from "node:crypto";
import { join } from "node:path";
import type { UIMessage } from "ai";
import { afterEach, beforeAll, describe, expect, inject, onTestFinished, test } from "vitest";
import { type ChatStore, createChatStore, migrate, type Turn } from "../../src/index.ts";
import { diagnose } from "../../src/migrate/doctor.ts";
import { applyMigrations } from "../../src/migrate/migrate.ts";
import { migrationScript } from "../../src/migrate/migration-script.ts";
import { migrations } from "../../src/migrate/migrations.ts";
import { say, textOf } from "../support/conversations.ts";
import { openWith, pools, type TestDatabase } from "../support/databases.ts";
import type { Version } from "../support/deployment.ts";
import { run } from "../support/pack.ts";
import { importRelease, unpackRelease } from "../support/releases.ts";

let published: Version;
beforeAll(async () => {
  const { remove, ...version } = await importRelease("0.1.0");
  published = version;
  return remove;
});

const opened: TestDatabase[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((database) => database.close()));
});

const newIds = () => ({ userId: "u", chatId: randomUUID() });
type Ids = ReturnType<typeof newIds>;

async function end({ persist }: Turn, text: string): Promise<string> {
  const id = persist.generateMessageId();
  await persist.onEnd({ responseMessage: say("assistant", text, id) });
  return id;
}
const ask = async (store: ChatStore, ids: Ids, text: string, answer: string) =>
  end(await store.startTurn({ ...ids, message: say("user", text, text) }), answer);
const regenerate = async (store: ChatStore, ids: Ids, text: string, answer: string) =>
  end(await store.startTurn({ ...ids, message: say("user", text, text), trigger: "regenerate-message" }), answer);
const edit = async (store: ChatStore, ids: Ids, id: string, text: string, answer: string) => {
  const message = say("user", text, id);
  return end(await store.startTurn({ ...ids, message, trigger: "submit-message", messageId: id }), answer);
};
const shown = async (store: ChatStore, ids: Ids) => (await store.getChat(ids))?.messages.map(textOf);
/** `after which message: position/count`, of each point. */
const points = async (store: ChatStore, ids: Ids) =>
  (await store.getBranches(ids)).map(
    ({ afterMessageId, position, count }) => `${afterMessageId ?? "beginning"}: ${position}/${count}`,
  );
const switchTo = async (store: ChatStore, ids: Ids, position: number) => {
  const [point] = await store.getBranches(ids);
  const branch = point?.branches.find((branch) => branch.position === position);
  return store.switchBranch({ ...ids, branchId: branch?.id ?? expect.fail("there is no such branch") });
};

describe.each(pools)("branches beside older packages on $name", ({ connect }) => {
  async function open(): Promise<TestDatabase> {
    const database = await openWith(connect, { empty: true });
    opened.push(database);
    return database;
  }

  const earlier = migrations.slice(0, -1);
  const upgrades: [by: string, upgrade: (database: TestDatabase, from: number) => Promise<unknown>][] = [
    ["migrate", ({ db }) => migrate(db)],
    ["the SQL of the command sql", ({ query }, from) => query(migrationScript("chat_store", from))],
  ];
  test.each(upgrades.flatMap(([by, upgrade]) => earlier.map(({ version, name }) => ({ by, name, version, upgrade }))))(
    "$by brings tables at $name to the newest version, and what is replaced from then on is kept",
    async ({ version, upgrade }) => {
      const database = await open();
      const { db } = database;
      await applyMigrations(db, "chat_store", undefined, migrations.slice(0, version));
      const [old, ids] = [published.createChatStore(db), newIds()];
      await ask(old, ids, "1?", "1a");
      await regenerate(old, ids, "1?", "1b");
      const running = await old.startTurn({ ...ids, message: say("user", "2?", "2?") });
      const before = await old.getChat(ids);

      await upgrade(database, version);
      expect(await diagnose(db, "chat_store")).toEqual({ differences: [], additions: [], ledger: true });
      const store = createChatStore(db, { branches: true });
      expect(await store.getChat(ids)).toMatchObject({ ...before });
      expect(await store.getBranches(ids)).toEqual([]);
      await end(running, "2a");
      await regenerate(store, ids, "2?", "2b");
      await edit(store, ids, "1?", "One?", "1c");
      expect(await points(store, ids)).toEqual(["beginning: 2/2"]);
      await switchTo(store, ids, 1);
      expect(await shown(store, ids)).toEqual(["1?", "1b", "2?", "2b"]);
      expect(await points(store, ids)).toEqual(["beginning: 1/2", "2?: 2/2"]);
      expect(await shown(published.createChatStore(db), ids)).toEqual(["1?", "1b", "2?", "2b"]);
    },
  );

  // What a version before branches did on these tables, a store without the option does: it names the new table nowhere.
  describe.each([
    { name: "0.1.0", olderOn: (database: TestDatabase) => published.createChatStore(database.db) },
    { name: "a store without branches", olderOn: (database: TestDatabase) => createChatStore(database.db) },
  ])("$name", ({ olderOn }) => {
    /** A chat with branches behind its first and its last answer, and one that hangs on another. */
    async function openWithBranches() {
      const database = await open();
      await migrate(database.db);
      const [store, older, ids] = [createChatStore(database.db, { branches: true }), olderOn(database), newIds()];
      await ask(store, ids, "1?", "1a");
      await ask(store, ids, "2?", "2a");
      await regenerate(store, ids, "2?", "2b");
      await regenerate(store, ids, "1?", "1b");
      await ask(store, ids, "3?", "3a");
      await regenerate(store, ids, "3?", "3b");
      expect(await points(store, ids)).toEqual(["1?: 2/2", "3?: 2/2"]);
      const kept = () => database.query("select from chat_store.branches where chat_id = $1", [ids.chatId]);
      expect(await kept()).toHaveLength(3);
      return { database, store, older, ids, kept };
    }
    const expectHealthy = async ({ db }: TestDatabase) =>
      expect((await diagnose(db, "chat_store")).differences).toEqual([]);

    test("turns of the older one leave the branches, and keep nothing", async () => {
      const { database, store, older, ids, kept } = await openWithBranches();
      expect(await shown(older, ids)).toEqual(["1?", "1b", "3?", "3b"]);
      await ask(older, ids, "4?", "4a");
      expect(await points(store, ids)).toEqual(["1?: 2/2", "3?: 2/2"]);
      await regenerate(older, ids, "3?", "3c");
      expect(await points(store, ids)).toEqual(["1?: 2/2", "3?: 2/2"]);
      await switchTo(store, ids, 1);
      expect(await shown(store, ids)).toEqual(["1?", "1a", "2?", "2b"]);
      expect(await points(store, ids)).toEqual(["1?: 1/2", "2?: 2/2"]);
      await ask(older, ids, "5?", "5a");
      await switchTo(store, ids, 2);
      expect(await shown(older, ids)).toEqual(["1?", "1b", "3?", "3c"]);
      expect(await kept()).toHaveLength(3);
      await expectHealthy(database);
    });

    test("branches behind messages that the older one replaces or deletes do not show, and the others do", async () => {
      const { database, store, older, ids, kept } = await openWithBranches();
      const [, last] = await store.getBranches(ids);
      const hidden = last?.branches[0]?.id ?? expect.fail();
      await regenerate(older, ids, "1?", "1c");
      expect(await points(store, ids)).toEqual(["1?: 2/2"]);
      expect(await store.switchBranch({ ...ids, branchId: hidden })).toBeNull();
      await regenerate(store, ids, "1?", "1d");
      expect(await points(store, ids)).toEqual(["1?: 3/3"]);

      const messages = (await store.getChat(ids))?.messages as UIMessage[];
      await older.upsertChat({ ...ids, messages: messages.slice(1) });
      expect(await points(store, ids)).toEqual([]);
      expect((await store.getMessages({ ...ids, limit: 10 }))?.branches).toEqual([]);
      await older.upsertChat({ ...ids, messages: [] });
      await ask(store, ids, "6?", "6a");
      await regenerate(store, ids, "6?", "6b");
      expect(await points(store, ids)).toEqual(["6?: 2/2"]);
      expect(await kept()).toHaveLength(5);
      await expectHealthy(database);
    });

    test("an answer of the older one to a question that a switch takes away is not stored", async () => {
      const { store, older, ids } = await openWithBranches();
      const turn = await older.startTurn({ ...ids, message: say("user", "4?") });
      await switchTo(store, ids, 1);
      await expect(end(turn, "4a")).rejects.toMatchObject({ code: "CHAT_CONFLICT" });
      expect(await shown(store, ids)).toEqual(["1?", "1a", "2?", "2b"]);
      await switchTo(store, ids, 2);
      expect(await shown(store, ids)).toEqual(["1?", "1b", "3?", "3b", "4?"]);
    });
  });

  test("the command line of 0.1.0 finds the newest tables compatible, and no damage", async () => {
    const { folder, remove } = await unpackRelease("0.1.0");
    onTestFinished(remove);
    const database = await open();
    await migrate(database.db);
    const [{ name } = expect.fail()] = await database.query<{ name: string }>("select current_database() as name");
    const url = Object.assign(new URL(inject("postgresUrl")), { pathname: `/${name}` }).href;
    const asked = async (command: string) =>
      (await run(process.execPath, [join(folder, "dist", "cli.js"), command, "--url", url])).stdout;
    expect(await asked("status")).toMatch(
      /at version 5, newer than version 1, .* compatible with it\.\n(.*\n)* {2}newer +5 {2}0004_branches/,
    );
    expect(await asked("migrate")).toMatch(/version 5/);
    expect(await asked("doctor")).toMatch(/as this version of drizzle-chat-store expects it/);
  });

  test("a store without branches deletes a message, and claims, deletes and erases chats with their branches", async () => {
    const database = await open();
    await migrate(database.db);
    const [store, older] = [createChatStore(database.db, { branches: true }), createChatStore(database.db)];
    const chats = [newIds(), newIds(), newIds()] as [Ids, Ids, Ids];
    for (const ids of chats) {
      await ask(store, ids, "1?", "1a");
      await regenerate(store, ids, "1?", "1b");
      await edit(store, ids, "1?", "One?", "1c");
    }
    const kept = async () =>
      (await database.query<{ id: string }>("select distinct chat_id as id from chat_store.branches")).map(
        ({ id }) => id,
      );
    const [first, second, third] = chats;
    await older.deleteMessage({ ...first, messageId: "1?" });
    expect(await points(store, first)).toEqual(["beginning: 2/2"]);
    const fork = await older.forkChat({ ...first, newChatId: randomUUID() });
    expect(await store.getBranches({ ...first, chatId: fork?.id ?? "" })).toEqual([]);
    expect(await older.deleteChat(second)).toBe(true);
    expect((await kept()).sort()).toEqual([first.chatId, third.chatId].sort());

    expect(await older.claimChats({ fromUserId: "u", userId: "heir" })).toBe(3);
    expect(await store.getBranches(third)).toEqual([]);
    await switchTo(store, { ...third, userId: "heir" }, 1);
    expect(await shown(older, { ...third, userId: "heir" })).toEqual(["1?", "1b"]);
    expect(await older.deleteAllChats({ userId: "heir" })).toBe(3);
    expect(await kept()).toEqual([]);
  });
});

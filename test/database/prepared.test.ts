import { drizzle } from "drizzle-orm/node-postgres";
import { withReplicas } from "drizzle-orm/pg-core";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type ChatStore, createChatStore, migrate } from "../../src/index.ts";
import { chats } from "../../src/schema.ts";
import { CacheOfEverything } from "../support/cache.ts";
import { conversation, say } from "../support/conversations.ts";
import { createDatabase } from "../support/databases.ts";

const userId = "ada";
const ids = { userId, chatId: "chat" };

/** Calls every method, most of them in all the ways that have a statement of their own. */
async function callEverything(store: ChatStore, chatId = "chat") {
  const ids = { userId, chatId };
  await store.upsertChat({ ...ids, title: "Tides", messages: conversation(4, 2_000) });
  await store.upsertChat({ ...ids, messages: conversation(5, 2_000) });
  await store.upsertChat({ ...ids, messages: conversation(4, 2_000), expectedVersion: 2 });
  await store.upsertChat({ ...ids, messages: conversation(4, 2_000).toReversed() });
  await store.upsertChat({ ...ids, after: "m1", messages: [say("user", "And?", "last")] });
  await store.getChat(ids);
  await store.getChats({ userId, limit: 3, before: { id: "chat", updatedAt: new Date() } });
  await store.getMessages({ ...ids, limit: 2, before: "last" });
  await store.searchChats({ userId, query: "and" });
  await store.updateChat({ ...ids, titleIfEmpty: "New", archived: true, metadata: { a: 1 } });
  await store.updateMessage({ ...ids, message: say("user", "So?", "last") });
  await store.deleteMessage({ ...ids, messageId: "last" });
  await store.forkChat({ ...ids, newChatId: `fork of ${chatId}` });
  const turn = await store.startTurn({ ...ids, message: say("user", "Why?", "why"), limit: 2 });
  await turn.consumeSseStream({ stream: new ReadableStream({ start: (controller) => controller.close() }) });
  await store.resumeTurn(ids);
  await store.stopTurn(ids);
  await turn.persist.onEnd({ responseMessage: say("assistant", "Because.", turn.persist.generateMessageId()) });
  for await (const chat of store.exportChats({ userId })) expect(chat.userId).toBe(userId);
  await store.deleteChat({ userId, chatId: `fork of ${chatId}` });
  await store.claimChats({ fromUserId: userId, userId: "grace" });
  await store.deleteAllChats({ userId: "grace" });
}

describe("prepared statements", () => {
  let database: Awaited<ReturnType<typeof createDatabase>>;
  let pool: pg.Pool;
  let sent: string[] = [];
  beforeAll(async () => {
    database = await createDatabase();
  });
  afterAll(() => database.drop());
  const db = () => drizzle(pool, { logger: { logQuery: (text) => void sent.push(text) } });
  /** One connection, on which nothing is prepared yet. */
  beforeEach(async () => {
    pool = new pg.Pool({ connectionString: database.url, max: 1 });
    pool.on("error", () => {});
    await pool.query("delete from chat_store.chats");
    sent = [];
    return () => pool.end();
  });
  const prepared = async () =>
    (await pool.query<{ name: string; statement: string }>("select name, statement from pg_prepared_statements")).rows;

  test.each([{}, { portable: true }, { rowLevelSecurity: true }])(
    "the store prepares all its statements with the options %j",
    async (options) => {
      await callEverything(createChatStore(db(), { ...options, prepare: true }));
      const statements = await prepared();
      expect(statements.length).toBeGreaterThan(20);
      expect(statements.length).toBeLessThan(70);
      const texts = new Set(statements.map(({ statement }) => statement));
      const ofTransactions = /^(begin|commit|rollback|savepoint|release savepoint)\b/;
      expect(sent.filter((text) => !texts.has(text) && !ofTransactions.test(text))).toEqual([]);
      for (const { name } of statements) expect(name).toMatch(/^chat_store_[0-9a-f]{32}$/);
    },
  );

  test("a store without the option prepares nothing, also beside a store with it", async () => {
    const database = db();
    await createChatStore(database, { prepare: true }).getChat(ids);
    await callEverything(createChatStore(database));
    await callEverything(createChatStore(database, { prepare: false }));
    expect(await prepared()).toHaveLength(1);
  });

  test("several stores on one database prepare a statement once", async () => {
    const database = db();
    await createChatStore(database, { prepare: true }).getChat(ids);
    await createChatStore(database, { prepare: true }).getChat({ ...ids, chatId: "another" });
    await createChatStore(db(), { prepare: true }).getChat(ids);
    expect(await prepared()).toHaveLength(1);
  });

  test("two schemas have prepared statements of their own on one connection", async () => {
    await migrate(db(), { schema: "other" });
    for (const schema of ["chat_store", "other"]) {
      const store = createChatStore(db(), { prepare: true, schema });
      expect(await store.getChat(ids)).toBeNull();
      await store.upsertChat({ ...ids, title: schema, messages: [] });
      expect(await store.getChat(ids)).toMatchObject({ title: schema });
    }
  });

  test("the number of prepared statements stays small for any number of messages", async () => {
    const store = createChatStore(db(), { prepare: true });
    for (let length = 0; length < 100; length++) {
      await store.upsertChat({ ...ids, messages: conversation(length, 40) });
      await store.upsertChat({ ...ids, chatId: `chat of ${length}`, messages: conversation(length) });
    }
    expect((await store.getChat(ids))?.messages).toEqual(conversation(99, 40));
    expect((await prepared()).length).toBeLessThan(40);
  });

  test("the store prepares its statements in a transaction of the application, and a rollback undoes the save", async () => {
    const work = db().transaction(async (tx) => {
      const store = createChatStore(tx, { prepare: true });
      await store.upsertChat({ ...ids, messages: conversation(2) });
      expect(await store.getChat(ids)).toMatchObject({ messages: conversation(2) });
      throw new Error("changed its mind");
    });
    await expect(work).rejects.toThrow("changed its mind");
    expect(await createChatStore(db()).getChat(ids)).toBeNull();
    expect((await prepared()).length).toBeGreaterThan(1);
  });

  test("prepared statements read from the primary, not from its replicas", async () => {
    const replica = drizzle(new pg.Pool({ connectionString: "postgres://nobody@127.0.0.1:1/none" }));
    await callEverything(createChatStore(withReplicas(db(), [replica]), { prepare: true }));
    expect((await prepared()).length).toBeGreaterThan(20);
  });

  test("prepared statements bypass Drizzle's cache", async () => {
    const cache = new CacheOfEverything();
    const cached = drizzle(pool, { cache });
    await cached.select().from(chats);
    expect(cache.kept.size).toBe(1);
    const store = createChatStore(cached, { prepare: true });
    for (const length of [1, 2, 1, 2]) {
      await store.upsertChat({ ...ids, messages: conversation(length) });
      expect((await store.getChat(ids))?.messages).toHaveLength(length);
    }
    expect(cache.kept.size).toBe(1);
  });

  test("prepared statements survive changes of the tables", async () => {
    const store = createChatStore(db(), { prepare: true });
    const changes = [
      "alter table chat_store.chats add column note text not null default 'none', add column kind json",
      "alter table chat_store.messages add column tokens int",
      "create index notes on chat_store.chats (note)",
      "drop index chat_store.notes",
      "alter table chat_store.chats drop column note",
      "alter table chat_store.chats alter column title type varchar(1000)",
      "drop schema chat_store cascade",
    ];
    // Often enough for a plan that is kept.
    const callAll = async () => {
      for (let time = 0; time < 7; time++) await callEverything(store, `chat ${time}`);
    };
    await callAll();
    const other = new pg.Client(database.url);
    await other.connect();
    try {
      for (const change of changes) {
        await other.query(change);
        if (change.startsWith("drop schema")) {
          await expect(store.getChat(ids)).rejects.toMatchObject({ code: "NOT_MIGRATED" });
          await migrate(drizzle(other));
        }
        await callAll();
      }
    } finally {
      await other.end();
    }
  });

  test("the store reports prepared statements that a connection has lost, and changes nothing", async () => {
    const store = createChatStore(db(), { prepare: true });
    await store.upsertChat({ ...ids, messages: conversation(2, 2_000) });
    await store.upsertChat({ ...ids, messages: conversation(3, 2_000) });
    // As a pooler does that resets its connections.
    await pool.query("deallocate all");
    await expect(store.upsertChat({ ...ids, messages: conversation(4, 2_000) })).rejects.toMatchObject({
      code: "QUERY_FAILED",
      message: expect.stringMatching(/26000.*nothing was changed.*leave out `prepare: true`.*PgBouncer 1\.21/),
    });
    expect((await createChatStore(db()).getChat(ids))?.messages).toEqual(conversation(3, 2_000));
  });
});

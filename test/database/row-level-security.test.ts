import { randomUUID } from "node:crypto";
import { type SQL, sql, TransactionRollbackError } from "drizzle-orm";
import { PgDialect } from "drizzle-orm/pg-core";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import {
  type ChatDatabase,
  ChatOwnershipError,
  type ChatStore,
  createChatStore,
  InvalidChatError,
} from "../../src/index.ts";
import { conversation, say } from "../support/conversations.ts";
import type { TestDatabase } from "../support/databases.ts";
import { underRowLevelSecurity } from "../support/row-level-security.ts";

describe.each(underRowLevelSecurity)("a store $mode, on $name", ({ open, storeOn }) => {
  let database: TestDatabase;
  let store: ChatStore;
  beforeAll(async () => {
    database = await open();
    store = storeOn(database.db);
  });
  afterAll(() => database.close());

  const newIds = () => ({ userId: randomUUID(), chatId: randomUUID() });
  /** As a superuser sees it, whom no policy binds. */
  const everything = () =>
    database.query(
      "select *, c.xmin::text, m.xmin::text from chat_store.chats c left join chat_store.messages m on chat_id = c.id",
    );

  test("a turn stores its question and its answer", async () => {
    const ids = newIds();
    await store.upsertChat({ ...ids, messages: conversation(4, 2_000) });
    const turn = await store.startTurn({ ...ids, message: say("user", "And then?") });
    await turn.persist.onEnd({ responseMessage: say("assistant", "The tide turned.") });
    expect((await store.getChat(ids))?.messages).toHaveLength(6);
    expect(await store.getChats(ids)).toMatchObject([{ id: ids.chatId, version: 3 }]);
  });

  test("the store refuses a stranger as it does without policies, and changes nothing", async () => {
    const ids = newIds();
    await store.upsertChat({ ...ids, messages: conversation(4, 2_000) });
    const before = await everything();
    const stranger = { userId: randomUUID(), chatId: ids.chatId };
    expect(await store.getChat(stranger)).toBeNull();
    expect(await store.getChats(stranger)).toEqual([]);
    for (const messages of [[], conversation(4, 2_000), conversation(5, 2_000), [say("user", "other")]]) {
      for (const expectedVersion of [undefined, 1]) {
        await expect(store.upsertChat({ ...stranger, messages, expectedVersion })).rejects.toThrow(ChatOwnershipError);
      }
    }
    await expect(store.startTurn({ ...stranger, message: say("user", "Hi") })).rejects.toThrow(ChatOwnershipError);
    expect(await everything()).toEqual(before);
  });

  test("the store refuses content that JSON cannot carry before it begins a transaction", async () => {
    const transaction = vi.spyOn(database.db, "transaction");
    onTestFinished(() => transaction.mockRestore());
    const ids = newIds();
    const message = { ...say("user", "Hi"), metadata: 1n };
    for (const call of [
      () => store.upsertChat({ ...ids, messages: [message] }),
      () => store.updateMessage({ ...ids, message }),
      () => store.updateChat({ ...ids, metadata: { count: 1n } }),
      () => store.startTurn({ ...ids, message }),
    ]) {
      await expect(call()).rejects.toThrow(InvalidChatError);
    }
    expect(transaction).not.toHaveBeenCalled();
  });

  test("a save with a version finds a chat that the user has created while it looks for the owner", async () => {
    const [theirs, ids] = [newIds(), newIds()];
    await store.upsertChat({ ...theirs, messages: [] });
    const dialect = new PgDialect();
    let isCreated = false;
    const hooked = (db: ChatDatabase): ChatDatabase =>
      Object.create(db, {
        transaction: {
          value: (work: (tx: ChatDatabase) => Promise<unknown>, config?: object) =>
            db.transaction((tx) => work(hooked(tx)), config),
        },
        execute: {
          value: async (statement: SQL) => {
            if (!isCreated && /^insert into "chat_store"."chats"/.test(dialect.sqlToQuery(statement).sql)) {
              isCreated = true;
              await database.query("delete from chat_store.chats where id = $1", [theirs.chatId]);
              await store.upsertChat({ ...ids, chatId: theirs.chatId, messages: conversation(1) });
            }
            return db.execute(statement);
          },
        },
      });
    const save = { userId: ids.userId, chatId: theirs.chatId, messages: conversation(4, 2_000), expectedVersion: 1 };
    expect(await storeOn(hooked(database.db)).upsertChat(save)).toMatchObject({ version: 2 });
    expect(isCreated).toBe(true);
  });

  test("a refusal leaves a transaction of the caller usable", async () => {
    const [ids, mine] = [newIds(), newIds()];
    await store.upsertChat({ ...ids, messages: conversation(2) });
    await database.db.transaction(async (tx) => {
      const inside = storeOn(tx);
      await expect(inside.upsertChat({ ...mine, chatId: ids.chatId, messages: [] })).rejects.toThrow(
        ChatOwnershipError,
      );
      await inside.upsertChat({ ...mine, messages: conversation(1) });
    });
    expect((await store.getChat(mine))?.messages).toEqual(conversation(1));
  });

  test("a statement of the application without a condition on the owner reaches only that user's chats", async () => {
    const [mine, theirs] = [newIds(), newIds()];
    for (const ids of [mine, theirs]) {
      await store.upsertChat({ ...ids, messages: conversation(3) });
      await database.query(
        `insert into chat_store.branches (chat_id, id, position, message_count, messages)
         values ($1, gen_random_uuid(), 1, 0, '[]')`,
        [ids.chatId],
      );
    }
    const run = (text: string) => database.db.execute(text);
    const rowsOf = (result: unknown) => (Array.isArray(result) ? result : (result as { rows: unknown[] }).rows);

    const attempt = database.db.transaction(async (tx) => {
      await storeOn(tx).getChats(mine);
      // The store has put back what it needed for itself.
      expect(rowsOf(await tx.execute("select from chat_store.chats"))).toEqual([]);
      await tx.execute(sql`select set_config('chat_store.user_id', ${mine.userId}, true)`);
      await storeOn(tx).getChats(theirs);
      expect(rowsOf(await tx.execute("select distinct user_id from chat_store.chats"))).toEqual([
        { user_id: mine.userId },
      ]);
      expect(rowsOf(await tx.execute("select distinct chat_id from chat_store.messages"))).toEqual([
        { chat_id: mine.chatId },
      ]);
      const deleteBranches = "delete from chat_store.branches returning chat_id";
      expect(rowsOf(await tx.execute(deleteBranches))).toEqual([{ chat_id: mine.chatId }]);
      expect(rowsOf(await tx.execute("delete from chat_store.messages returning chat_id"))).toHaveLength(3);
      expect(rowsOf(await tx.execute("delete from chat_store.chats returning id"))).toEqual([{ id: mine.chatId }]);
      throw new TransactionRollbackError();
    });
    await expect(attempt).rejects.toThrow(TransactionRollbackError);
    // Outside of the store's transactions a connection is nobody's, also one that was somebody's before.
    expect(rowsOf(await run("select from chat_store.chats"))).toEqual([]);
    expect(rowsOf(await run("select from chat_store.messages"))).toEqual([]);
    expect(rowsOf(await run("select from chat_store.branches"))).toEqual([]);
    await expect(run("insert into chat_store.chats (id, user_id, title) values ('x', '', '')")).rejects.toMatchObject({
      cause: { code: "42501" },
    });
  });

  test.each<[string, string, (ids: { userId: string; chatId: string }) => Promise<unknown>]>([
    ["insert", "chats", () => store.upsertChat({ ...newIds(), messages: conversation(1) })],
    ["update", "chats", (ids) => store.upsertChat({ ...ids, messages: conversation(3) })],
    ["insert", "messages", (ids) => store.upsertChat({ ...ids, messages: conversation(4) })],
    ["insert", "turns", (ids) => store.startTurn({ ...ids, message: say("user", "Why?") })],
  ])("the store reports a missing grant to %s %s as a failed query", async (privilege, table, attempt) => {
    const ids = newIds();
    await store.upsertChat({ ...ids, messages: conversation(2) });
    const before = await everything();
    const [granted] = await database.query<{ role: string }>(
      `select grantee as role from information_schema.role_table_grants
       where table_schema = 'chat_store' and table_name = 'chats' and grantee like 'application%'`,
    );
    await database.query(`revoke ${privilege} on chat_store.${table} from ${granted?.role}`);
    try {
      await expect(attempt(ids)).rejects.toMatchObject({
        code: "QUERY_FAILED",
        message: expect.stringContaining("42501"),
      });
      expect(await everything()).toEqual(before);
    } finally {
      await database.query(`grant ${privilege} on chat_store.${table} to ${granted?.role}`);
    }
    await attempt(ids);
  });

  test("a store without the option reads nothing and saves nothing", async () => {
    const ids = newIds();
    await store.upsertChat({ ...ids, messages: conversation(1) });
    const untold = createChatStore(database.db);
    expect(await untold.getChat(ids)).toBeNull();
    await expect(untold.upsertChat({ ...newIds(), messages: [] })).rejects.toMatchObject({
      code: "QUERY_FAILED",
      message: expect.stringContaining("42501"),
    });
  });
});

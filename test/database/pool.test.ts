import { randomUUID } from "node:crypto";
import { describe, expect, onTestFinished, test } from "vitest";
import { type ChatStore, migrate } from "../../src/index.ts";
import { conversation, say } from "../support/conversations.ts";
import { inModes, openWith, pools } from "../support/databases.ts";
import { eventually } from "../support/eventually.ts";

/**
 * The store never holds a connection while it waits for another one: applications that do so, each request holding some
 * of a pool that is empty, wait for ever.
 */

const stored = conversation(6, 600);
const edited = stored.with(2, say("user", "edited", "m2"));

/** Its reader asks while its recorder, or the end of the turn, writes. */
const recorded = "take a turn that is recorded, joined and stopped";

/** All that can be asked of a store, in an order in which each finds what it needs. */
function verbsOf(store: ChatStore, ids: { userId: string; chatId: string }) {
  const save = (input: Partial<Parameters<ChatStore["upsertChat"]>[0]>) =>
    store.upsertChat({ ...ids, messages: stored, ...input });
  const startTurn = (message = say("user", "question")) => store.startTurn({ ...ids, message });
  const answer = say("assistant", "answer");
  const verbs: Record<string, () => Promise<unknown>> = {
    "create a chat": () => save({ messages: stored.slice(0, 1) }),
    "append a message": () => save({ messages: stored.slice(0, 2) }),
    "append several": () => save({}),
    "save what is stored": () => save({}),
    rename: () => save({ title: "Renamed" }),
    "edit in the middle": () => save({ messages: edited }),
    reorder: () => save({ messages: stored.toReversed() }),
    "remove the first": () => save({ messages: stored.slice(1) }),
    cut: () => save({ messages: stored.slice(1, 3) }),
    empty: () => save({ messages: [] }),
    "create a chat of many": () => save({ chatId: randomUUID() }),
    "save from a stale copy": () => expect(save({ expectedVersion: 1 })).rejects.toThrow("version"),
    "save a stranger's chat": () => expect(save({ userId: randomUUID() })).rejects.toThrow("another user"),
    "save what follows a message": async () => {
      await save({});
      return save({ after: "m1", messages: stored.slice(3) });
    },
    "load a page": () => store.getMessages({ ...ids, limit: 2 }),
    search: () => store.searchChats({ ...ids, query: "message" }),
    "load a chat": () => store.getChat(ids),
    "list chats": () => store.getChats(ids),
    "update what is said of a chat": () => store.updateChat({ ...ids, title: "Tides", archived: true }),
    "update nothing": () => store.updateChat({ ...ids, title: "Tides" }),
    "change a message": async () => {
      await save({});
      return store.updateMessage({ ...ids, message: say("user", "changed", "m2") });
    },
    "delete a message": () => store.deleteMessage({ ...ids, messageId: "m1" }),
    "delete a message and what follows": () => store.deleteMessage({ ...ids, messageId: "m4", following: true }),
    "delete a message of a stale copy": () =>
      expect(store.deleteMessage({ ...ids, messageId: "m0", expectedVersion: 99 })).rejects.toThrow("version"),
    "fork a chat, and delete the fork": async () => {
      const newChatId = randomUUID();
      await store.forkChat({ ...ids, newChatId });
      await expect(store.forkChat({ ...ids, newChatId })).rejects.toThrow("exists already");
      return store.deleteChat({ ...ids, chatId: newChatId });
    },
    "export all": async () => {
      for await (const { userId } of store.exportChats(ids)) expect(userId).toBe(ids.userId);
    },
    "claim chats, and delete them all": async () => {
      const guest = { userId: randomUUID(), chatId: randomUUID() };
      await store.upsertChat({ ...guest, messages: [] });
      const userId = randomUUID();
      await store.claimChats({ fromUserId: guest.userId, userId });
      return store.deleteAllChats({ userId });
    },
    "empty it again": () => save({ messages: [] }),
    "take a turn": async () => (await startTurn()).persist.onEnd({ responseMessage: answer }),
    [recorded]: async () => {
      const turn = await startTurn();
      const chunks = [{ type: "start" }, { type: "text-start", id: "1" }, { type: "finish" }];
      const events = chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`);
      await turn.consumeSseStream({ stream: ReadableStream.from(events) });
      const joined = new Response(await store.resumeTurn(ids)).text();
      await store.stopTurn(ids);
      await turn.persist.onEnd({ responseMessage: say("assistant", "answer") });
      if (!(await joined).includes("finish")) throw new Error("The answer was not recorded.");
    },
    "take a turn that is overtaken": async () => {
      const turn = await startTurn();
      await startTurn();
      await turn.persist.onEnd({ responseMessage: say("assistant", "answer") });
    },
  };
  return Object.entries(verbs);
}

describe.each(inModes(pools))("the pool of a store on $name, $mode", ({ connect, storeOn }) => {
  const newIds = () => ({ userId: randomUUID(), chatId: randomUUID() });

  /** A store on a database of its own, with a pool of ten. */
  async function openPool() {
    const application = randomUUID();
    const database = await openWith((url) => connect(`${url}?application_name=${application}`, 10));
    onTestFinished(database.close);
    await migrate(database.db);
    const opened = "select from pg_stat_activity where application_name = $1";
    return {
      ...database,
      store: storeOn(database.db),
      /** A pool opens a connection when none of its own is free: as many as were ever needed at once. */
      connections: async () => (await database.query(opened, [application])).length,
      waiting: () => database.query(`${opened} and wait_event_type = 'Lock'`, [application]),
    };
  }

  test("no method needs a second connection, and neither does migrate", async () => {
    const { db, store, connections } = await openPool();
    const needed: Record<string, number> = { migrate: await connections() };
    for (const [verb, ask] of verbsOf(store, newIds())) {
      if (verb === recorded) continue;
      await ask();
      needed[verb] = await connections();
    }
    await db.transaction(async (tx) => {
      for (const [verb, ask] of verbsOf(storeOn(tx), newIds())) {
        // A turn ends later than a transaction.
        if (verb.startsWith("take a turn")) await expect(ask()).rejects.toThrow("is a transaction");
        else await ask();
        needed[`${verb}, in a transaction`] = await connections();
      }
    });
    expect(Object.entries(needed).filter(([, count]) => count !== 1)).toEqual([]);
    expect(Object.keys(needed).length).toBeGreaterThan(30);
  });

  test("a recorded turn needs a second connection at most for its reader", async () => {
    const { store, connections } = await openPool();
    for (const [verb, ask] of verbsOf(store, newIds())) if (verb === recorded) await ask();
    expect([1, 2]).toContain(await connections());
  });

  test.each(["read committed", "repeatable read"])(
    "a save that another writer overtakes needs no second connection, %s",
    async (isolation) => {
      const { db, store, query, connections, waiting } = await openPool();
      const ids = newIds();
      await store.upsertChat({ ...ids, messages: stored });
      await db.execute(`set default_transaction_isolation = '${isolation}'`);
      for (const messages of [[...stored, say("user", "new")], edited]) {
        await query("begin");
        await query("update chat_store.chats set version = version + 1 where id = $1", [ids.chatId]);
        const save = store.upsertChat({ ...ids, messages });
        await eventually("the save waits for the other writer", async () => (await waiting()).length === 1);
        await query("commit");
        await save;
      }
      expect((await store.getChat(ids))?.messages).toEqual(edited);
      expect(await connections()).toBe(1);
    },
  );

  test("five callers at once get through a pool of one connection, each with every method", async () => {
    const database = await openWith((url) => connect(url, 1));
    await migrate(database.db);
    const store = storeOn(database.db);
    const clients = Array.from({ length: 5 }, async () => {
      const ids = newIds();
      for (const [, ask] of verbsOf(store, ids)) await ask();
      return (await store.getChat(ids))?.messages.length;
    });
    expect(new Set(await Promise.all(clients))).toEqual(new Set([7]));
    await database.close();
  });
});

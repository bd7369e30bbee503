import { randomUUID } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type ChatStore, createChatStore, isRetryable } from "../../src/index.ts";
import { conversation, say } from "../support/conversations.ts";
import { nodePostgres, openWith, type TestDatabase } from "../support/databases.ts";
import { eventually } from "../support/eventually.ts";
import { isLong } from "../support/long-run.ts";
import { seeded } from "../support/seed.ts";

const random = seeded();
const chats = Number(process.env.LOAD_CHATS ?? (isLong ? 10_000 : 1_000));

/** What is in use while nothing is going on, in kB. */
async function heap(): Promise<number> {
  for (let round = 0; round < 2; round++) {
    await setImmediate();
    (globalThis.gc ?? expect.fail("expected node --expose-gc"))();
  }
  return Math.round(process.memoryUsage().heapUsed / 1_000);
}

describe(`A user with ${chats} chats`, () => {
  const application = randomUUID();
  let database: TestDatabase;
  let databaseUrl: string;
  let store: ChatStore;
  beforeAll(async () => {
    database = await openWith((url) => {
      databaseUrl = url;
      return nodePostgres(`${url}?application_name=${application}`, 10);
    });
    store = createChatStore(database.db);
    await database.query(
      `insert into chat_store.chats (id, user_id, title)
       select md5(n::text) || ' ' || n, case when n % 11 = 0 then 'another' else 'u' end, 'Chat ' || n
       from generate_series(1, $1::int * 11 / 10) n`,
      [chats],
    );
    const messages = JSON.stringify(conversation(4, 500).map((message, order) => ({ ...message, order })));
    await database.query(
      `insert into chat_store.messages (chat_id, id, "order", role, parts)
       select c.id, m.id, m."order", m.role, m.parts from chat_store.chats c
       cross join json_to_recordset($1::json) m (id text, "order" int, role text, parts json)`,
      [messages],
    );
    await database.query("analyze chat_store.chats, chat_store.messages");
  });
  afterAll(() => database.close());

  /** A connection of another application. */
  const openRival = async () => {
    const client = new pg.Client(databaseUrl);
    await client.connect();
    onTestFinished(() => client.end());
    return client;
  };

  const idsOf = async (userId: string) =>
    (
      await database.query<{ id: string }>("select id from chat_store.chats where user_id = $1 order by id", [userId])
    ).map(({ id }) => id);

  test("exportChats yields every chat while eight writers save and delete, and needs the memory of one chat", async () => {
    const all = await idsOf("u");
    let isDone = false;
    let saves = 0;
    const deleted = new Set<string>();
    const write = async (writer: number) => {
      const { pick } = random.fork();
      for (let round = 0; !isDone; round++) {
        const chatId = pick(all);
        if (writer === 0 && round % 20 === 0) {
          deleted.add(chatId);
          await store.deleteChat({ userId: "u", chatId });
        } else if (!deleted.has(chatId)) {
          await store.updateChat({ userId: "u", chatId, title: `Saved ${round}` });
          const turn = await store.startTurn({ userId: "u", chatId, message: say("user", "And?") });
          await turn.persist.onEnd({ responseMessage: say("assistant", "So") }).catch(() => {});
          saves++;
        }
      }
    };
    const before = await heap();
    const writers = Promise.all(Array.from({ length: 8 }, (_, writer) => write(writer)));
    const exported = new Set<string>();
    let highest = 0;
    for await (const { id, userId, messages } of store.exportChats({ userId: "u" })) {
      expect(userId).toBe("u");
      expect(messages.length).toBeGreaterThanOrEqual(1);
      if (exported.has(id)) expect.fail(`twice: ${id}`);
      exported.add(id);
      if (exported.size % Math.ceil(chats / 10) !== 0) continue;
      highest = Math.max(highest, (await heap()) - before);
      const most = (exported.size / chats) * 120;
      await eventually("the writers save meanwhile", () => saves > most);
    }
    isDone = true;
    await writers;
    const missing = all.filter((id) => !exported.has(id) && !deleted.has(id));
    console.log(JSON.stringify({ exported: exported.size, saves, deleted: deleted.size, highestHeapKb: highest }));
    expect(missing).toEqual([]);
    expect(saves).toBeGreaterThan(100);
    // The ids that this test itself keeps are most of it.
    expect(highest).toBeLessThan(6_000);
  });

  test("deleteAllChats deletes in batches, also after an interruption, and keeps other users' chats", async () => {
    // In the order in which they are deleted.
    const inOrder = "select id from chat_store.chats where user_id = 'u' order by updated_at, id";
    const ids = (await database.query<{ id: string }>(inOrder)).map(({ id }) => id);
    const others = (await idsOf("another")).length;
    const left = async () => (await idsOf("u")).length;
    let isDone = false;
    const seen = new Set<number>();
    const watch = (async () => {
      for (; !isDone; await setImmediate()) seen.add(await left());
    })();
    const rival = await openRival();

    // Each time a batch waits for one chat, until its connection is cut.
    let interruptions = 0;
    for (const place of [350, 550, 850]) {
      await rival.query("begin");
      await rival.query("select from chat_store.chats where id = $1 for update", [ids[place]]);
      const erasing = store.deleteAllChats({ userId: "u" }).catch((error: unknown) => error);
      const ofBatch = "where application_name = $1 and query like '%delete from%' and wait_event_type = 'Lock'";
      // By another connection than the rival's: within a transaction, Postgres goes on showing the queries of the first look.
      await eventually("a batch waits for a chat that is locked", async () => {
        const waiting = await database.query(`select from pg_stat_activity ${ofBatch}`, [application]);
        return waiting.length === 1;
      });
      expect(await left()).toBe(ids.length - Math.floor(place / 100) * 100);
      await database.query(`select pg_terminate_backend(pid) from pg_stat_activity ${ofBatch}`, [application]);
      expect(isRetryable(await erasing)).toBe(true);
      await rival.query("rollback");
      interruptions++;
    }
    const before = await left();
    const began = performance.now();
    expect(await store.deleteAllChats({ userId: "u" })).toBe(before);
    const took = Math.round(performance.now() - began);
    isDone = true;
    await watch;
    console.log(JSON.stringify({ total: ids.length, before, took, interruptions, seen: seen.size }));
    expect(await left()).toBe(0);
    expect((await idsOf("another")).length).toBe(others);
    expect(
      await database.query(
        "select from chat_store.messages m left join chat_store.chats c on c.id = chat_id where c.id is null",
      ),
    ).toEqual([]);
    // Only whole batches were ever gone, one after the other.
    expect([...seen].filter((count) => (ids.length - count) % 100 !== 0 && count !== 0)).toEqual([]);
    expect(seen.size).toBeGreaterThan(3);
  });
});

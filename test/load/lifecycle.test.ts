import { setImmediate, setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ChatStore, createChatStore, isRetryable, migrate } from "../../src/index.ts";
import { conversation, say } from "../support/conversations.ts";
import { nodePostgres, openWith, type TestDatabase } from "../support/databases.ts";

const chats = Number(process.env.LOAD_CHATS ?? 10_000);

/** What is in use while nothing is going on, in kB. */
async function heap(): Promise<number> {
  for (let round = 0; round < 2; round++) {
    await setImmediate();
    (globalThis.gc ?? expect.fail("expected node --expose-gc"))();
  }
  return Math.round(process.memoryUsage().heapUsed / 1_000);
}

describe(`a user with ${chats} chats`, () => {
  const application = `lifecycle ${Math.random()}`;
  let database: TestDatabase;
  let store: ChatStore;
  beforeAll(async () => {
    database = await openWith((url) => nodePostgres(`${url}?application_name=${encodeURIComponent(application)}`, 10));
    await migrate(database.db);
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
  }, 120_000);
  afterAll(() => database.close());

  const idsOf = async (userId: string) =>
    (await database.query<{ id: string }>("select id from chat_store.chats where user_id = $1", [userId])).map(
      ({ id }) => id,
    );

  test("is exported complete while eight writers save, delete and create, with no more memory than one chat takes", {
    timeout: 300_000,
  }, async () => {
    const all = await idsOf("u");
    let isDone = false;
    let saves = 0;
    const deleted = new Set<string>();
    const write = async (writer: number) => {
      for (let round = 0; !isDone; round++) {
        const chatId = all[Math.floor(Math.random() * all.length)] ?? "";
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
      if (exported.size % Math.ceil(chats / 10) === 0) highest = Math.max(highest, (await heap()) - before);
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

  test("is erased in batches, goes on where it was interrupted, and nobody else loses anything", {
    timeout: 300_000,
  }, async () => {
    const [total, others] = [(await idsOf("u")).length, (await idsOf("another")).length];
    const left = async () => {
      const [row] = await database.query<{ count: number }>(
        "select count(*)::int from chat_store.chats where user_id = 'u'",
      );
      return row?.count ?? expect.fail();
    };
    let isDone = false;
    const seen = new Set<number>();
    let longest = 0;
    const watch = (async () => {
      while (!isDone) {
        seen.add(await left());
        const [running] = await database.query<{ ms: number }>(
          `select coalesce(max(extract(epoch from clock_timestamp() - xact_start) * 1000), 0)::int ms from pg_stat_activity
           where application_name = $1 and query like '%delete from%'  and state <> 'idle'`,
          [application],
        );
        longest = Math.max(longest, running?.ms ?? 0);
      }
    })();

    const began = performance.now();
    let interruptions = 0;
    const interrupt = async () => {
      await expect.poll(left, { interval: 2, timeout: 60_000 }).toBeLessThan(total - (interruptions + 1) * 300);
      await database.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1 and query like '%delete from%'",
        [application],
      );
    };
    for (;;) {
      const killing = interruptions < 3 ? interrupt() : undefined;
      const outcome = await store.deleteAllChats({ userId: "u" }).catch((error: unknown) => error);
      await killing;
      if (typeof outcome === "number") break;
      if (!isRetryable(outcome)) throw outcome;
      interruptions++;
      await sleep(50);
    }
    const took = performance.now() - began;
    isDone = true;
    await watch;
    console.log(
      JSON.stringify({ total, took: Math.round(took), longestTransaction: longest, interruptions, seen: seen.size }),
    );
    expect(await left()).toBe(0);
    expect((await idsOf("another")).length).toBe(others);
    expect(
      await database.query(
        "select from chat_store.messages m left join chat_store.chats c on c.id = chat_id where c.id is null",
      ),
    ).toEqual([]);
    // Only whole batches were ever gone, one after the other.
    expect([...seen].filter((count) => (total - count) % 100 !== 0 && count !== 0)).toEqual([]);
    expect(seen.size).toBeGreaterThan(5);
    expect(interruptions).toBeGreaterThan(0);
  });
});

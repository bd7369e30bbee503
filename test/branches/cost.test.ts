import { randomUUID } from "node:crypto";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ChatStore, createChatStore, type StartTurnInput, type Turn } from "../../src/index.ts";
import { conversation, say } from "../support/conversations.ts";
import { countingProxy, type Traffic } from "../support/counting-proxy.ts";
import { createDatabase } from "../support/databases.ts";

const size = 2_000;

describe("The cost of branches, with node-postgres and messages of 2 KB", () => {
  let proxy: Awaited<ReturnType<typeof countingProxy>>;
  let drop: () => Promise<void>;
  let raw: pg.Client;
  let pool: pg.Pool;
  beforeAll(async () => {
    const database = await createDatabase();
    drop = database.drop;
    proxy = await countingProxy(database.url);
    // Without a limit to idling: what a new connection sends and receives would be counted with a statement.
    pool = new pg.Pool({ connectionString: proxy.url, max: 1, idleTimeoutMillis: 0 });
    // Its sockets close a little after `end`, when the database may be gone already.
    pool.on("error", () => {});
    raw = new pg.Client(database.url);
    await raw.connect();
  });
  afterAll(async () => {
    await Promise.all([pool.end(), raw.end()]);
    await proxy.close();
    await drop();
  });

  const storeWith = (branches: boolean) => createChatStore(drizzle(pool), { branches });
  const newChat = async (length: number) => {
    const ids = { userId: "u", chatId: randomUUID() };
    await storeWith(false).upsertChat({ ...ids, messages: conversation(length, size) });
    return ids;
  };

  /** Rows inserted, updated and deleted, by the server's own count. */
  async function rowsOf(table: string, work: () => Promise<unknown>) {
    const read = async () => {
      // Otherwise the server counts only now and then.
      for (const connection of [pool, raw]) await connection.query("select pg_stat_force_next_flush()");
      const counts = `select array[n_tup_ins, n_tup_upd, n_tup_del]::int[] as rows from pg_stat_user_tables
        where schemaname = 'chat_store' and relname = $1`;
      return (await raw.query<{ rows: number[] }>(counts, [table])).rows[0]?.rows ?? [];
    };
    const before = await read();
    await work();
    return (await read()).map((count, index) => count - (before[index] ?? 0)).join("-");
  }

  async function turn(store: ChatStore, input: StartTurnInput) {
    let started: Turn | undefined;
    const start = await proxy.count(async () => {
      started = await store.startTurn(input);
    });
    const responseMessage = say("assistant", "answer ".repeat(size / 7), started?.persist.generateMessageId());
    const end = await proxy.count(async () => started?.persist.onEnd({ responseMessage }));
    return { start, end };
  }

  const statementsOf = ({ statements, roundTrips }: Traffic) => ({ statements, roundTrips });
  const message = (index: number) => conversation(index + 1, size)[index] ?? expect.fail();
  const turns: [string, (ids: { userId: string; chatId: string }) => StartTurnInput, string][] = [
    ["asks", (ids) => ({ ...ids, message: say("user", "Why?") }), "0-0-0"],
    [
      "asks for the last answer again",
      (ids) => ({ ...ids, message: message(98), trigger: "regenerate-message" }),
      "1-0-0",
    ],
    [
      "asks for an answer in the middle again",
      (ids) => ({ ...ids, message: message(50), trigger: "regenerate-message" }),
      "1-0-0",
    ],
    [
      "edits a question",
      (ids) => ({ ...ids, message: say("user", "Edited", "m50"), trigger: "submit-message", messageId: "m50" }),
      "1-0-0",
    ],
  ];

  test.each(turns)(
    "a turn that %s needs the same statements with branches, and one row more",
    async (_, input, rows) => {
      const without = await turn(storeWith(false), input(await newChat(100)));
      const ids = await newChat(100);
      let withBranches: typeof without | undefined;
      const written = await rowsOf("branches", async () => {
        withBranches = await turn(storeWith(true), input(ids));
      });
      expect(written).toBe(rows);
      for (const part of ["start", "end"] as const) {
        expect(statementsOf(withBranches?.[part] ?? expect.fail())).toEqual(statementsOf(without[part]));
      }
      expect(statementsOf(without.start)).toEqual({ statements: 2, roundTrips: 2 });
      expect(statementsOf(without.end)).toEqual({ statements: 1, roundTrips: 1 });
      const added = [withBranches?.start, withBranches?.end].map((traffic) => traffic?.bytesSent ?? 0);
      const sent = [without.start.bytesSent, without.end.bytesSent];
      // The content of the branch stays in the database. What is sent are the statement and the ids.
      const more = added.reduce((sum, bytes, index) => sum + bytes - (sent[index] ?? 0), 0);
      expect(more).toBeLessThan(rows === "0-0-0" ? 10 : 3_500);
    },
  );

  test("a chat of 1,000 messages with 50 branches costs what it costs without", async () => {
    const costs = async (branches: boolean) => {
      const store = storeWith(branches);
      const ids = await newChat(1_000);
      const again = { ...ids, message: message(998), trigger: "regenerate-message" } as const;
      for (let count = 0; count < 50; count++) {
        const { persist } = await store.startTurn(again);
        await persist.onEnd({ responseMessage: say("assistant", "answer ".repeat(size / 7)) });
      }
      const chat = await proxy.count(() => store.getChat(ids));
      const page = await proxy.count(() => store.getMessages({ ...ids, limit: 30 }));
      const { start, end } = await turn(store, { ...ids, message: say("user", "Why?"), limit: 30 });
      return { chat, page, start, end };
    };
    const [without, withBranches] = [await costs(false), await costs(true)];
    for (const call of ["chat", "start", "end"] as const) {
      expect(statementsOf(withBranches[call])).toEqual(statementsOf(without[call]));
      expect(Math.abs(withBranches[call].bytesSent - without[call].bytesSent)).toBeLessThan(10);
      expect(Math.abs(withBranches[call].bytesReceived - without[call].bytesReceived)).toBeLessThan(10);
    }
    // A page has the points as well: some 80 bytes for each branch.
    expect(statementsOf(withBranches.page)).toEqual({ statements: 1, roundTrips: 1 });
    expect(withBranches.page.bytesReceived - without.page.bytesReceived).toBeLessThan(50 * 90);
  });
});

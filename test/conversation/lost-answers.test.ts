import { randomUUID } from "node:crypto";
import { sql } from "drizzle-orm";
import { drizzle as drizzlePg } from "drizzle-orm/node-postgres";
import { drizzle as drizzlePostgresJs } from "drizzle-orm/postgres-js";
import pg from "pg";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import {
  ChatConflictError,
  type ChatDatabase,
  type ChatStore,
  createChatStore,
  isRetryable,
  type UpsertChatInput,
} from "../../src/index.ts";
import { conversation, say } from "../support/conversations.ts";
import { createDatabase, modes } from "../support/databases.ts";
import { faultyDatabase } from "../support/faulty-database.ts";
import { type Cut, faultyProxy } from "../support/faulty-proxy.ts";

/**
 * The connection breaks at each statement of a save in turn: before the server has it, so that the save did not happen,
 * and after the server has executed it, so that it may have, and the caller cannot know. Then the caller does what
 * isRetryable says.
 */

const stored = conversation(4, 600);
type Ids = { userId: string; chatId: string };

const saves: Record<string, { exists: boolean; save: Omit<UpsertChatInput, keyof Ids> }> = {
  "a new chat": { exists: false, save: { title: "New", messages: stored } },
  "one more message": { exists: true, save: { messages: [...stored, say("user", "new".padEnd(600), "new")] } },
  "a changed message in the middle": { exists: true, save: { messages: stored.with(1, say("user", "edited", "m1")) } },
  "a new title without the first message": { exists: true, save: { title: "Cut", messages: stored.slice(1) } },
  "nothing new": { exists: true, save: { messages: stored } },
};

const withPg = (url: string) => {
  // Drizzle 0.45 never gives back a connection on which its BEGIN failed. So many of them are lost here, at most.
  const pool = new pg.Pool({ connectionString: url, max: 50 });
  // It also leaves a connection in a transaction without a listener, and the process would die with it.
  pool.on("error", () => {}).on("connect", (client) => client.on("error", () => {}));
  return { db: drizzlePg(pool), end: async () => void pool.end() };
};
const withPostgresJs = (url: string) => {
  const client = postgres(url, { max: 1, onnotice: () => {}, fetch_types: false });
  return { db: drizzlePostgresJs(client), end: () => client.end({ timeout: 0 }) };
};
const ways = [
  ...modes.map((way) => ({ driver: "node-postgres", open: withPg, ...way })),
  // Only where it needs no transaction: in one, a connection that breaks takes the process of postgres.js 3.4 with it
  // (https://github.com/porsager/postgres/issues/1208).
  ...modes
    .filter(({ mode }) => mode === "without transactions")
    .map((way) => ({ driver: "postgres.js", open: withPostgresJs, ...way })),
];

describe.each(ways)("A connection that breaks during a call, with $driver, $mode", ({ open, storeOn }) => {
  let proxy: Awaited<ReturnType<typeof faultyProxy>>;
  let admin: pg.Client;
  let db: ChatDatabase;
  let close: () => Promise<void>;
  beforeAll(async () => {
    const { url, drop } = await createDatabase();
    admin = new pg.Client(url);
    await admin.connect();
    proxy = await faultyProxy(url);
    const opened = open(proxy.url);
    db = opened.db;
    close = async () => {
      await opened.end();
      await proxy.close();
      await admin.end();
      await drop();
    };
  });
  afterAll(() => close());

  const newChat = async (exists: boolean): Promise<Ids> => {
    const ids = { userId: "u", chatId: randomUUID() };
    if (exists) await createChatStore(drizzlePg(admin)).upsertChat({ ...ids, title: "Stored", messages: stored });
    return ids;
  };

  /** A chat as its raw rows, without what differs from chat to chat. */
  const rowsOf = async ({ chatId }: Ids) => {
    const { rows: chats } = await admin.query("select title, version from chat_store.chats where id = $1", [chatId]);
    const { rows: messages } = await admin.query(
      `select id, "order", role, parts::text, metadata::text from chat_store.messages where chat_id = $1 order by "order"`,
      [chatId],
    );
    return { chats, messages };
  };

  /** At each statement of `work` in turn, on a chat of its own each time. Gives the number of them. */
  const cutAtEach = async (
    lose: Cut["lose"],
    exists: boolean,
    work: (store: ChatStore, ids: Ids) => Promise<unknown>,
    check: (ids: Ids, error: unknown) => Promise<void>,
  ) => {
    for (let statement = 1; ; statement++) {
      const ids = await newChat(exists);
      await createChatStore(db).getChats(ids); // Connects, if the last cut has left no connection.
      proxy.cutAt({ statement, lose });
      const error = await work(storeOn(db), ids).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      if (!proxy.wasCut()) return statement - 1;
      await check(ids, error);
    }
  };

  describe.each(["statement", "answer"] as const)("A lost %s", (lose) => {
    describe.each(Object.entries(saves))("A save of %s", (_, { exists, save }) => {
      test.each([{ expectedVersion: undefined }, { expectedVersion: 1 }])(
        "the store saves everything or nothing, and a retry saves it once (expectedVersion: $expectedVersion)",
        async ({ expectedVersion }) => {
          const given = exists ? expectedVersion : undefined;
          const before = await rowsOf(await newChat(exists));
          const control = await newChat(exists);
          await createChatStore(drizzlePg(admin)).upsertChat({ ...control, ...save });
          const after = await rowsOf(control);
          const run = (store: ChatStore, ids: Ids) => store.upsertChat({ ...ids, ...save, expectedVersion: given });

          const cuts = await cutAtEach(lose, exists, run, async (ids, error) => {
            // Where no transaction could be begun, the store has tried without one.
            if (error === undefined) expect(await rowsOf(ids)).toEqual(after);
            else expect(isRetryable(error)).toBe(true);
            expect([before, after]).toContainEqual(await rowsOf(ids));
            const { version } = await run(storeOn(db), ids);
            expect(version).toBe(after.chats[0].version);
            expect(await rowsOf(ids)).toEqual(after);
          });
          expect(cuts).toBeGreaterThan(0);
        },
      );
    });

    test("a turn that the caller starts again stores its question once", async () => {
      const message = say("user", "And now?", "question");
      const start = (store: ChatStore, ids: Ids) => store.startTurn({ ...ids, message });
      const cuts = await cutAtEach(lose, true, start, async (ids, error) => {
        if (error !== undefined) expect(isRetryable(error)).toBe(true);
        const { chat } = await start(storeOn(db), ids);
        expect(chat.version).toBe(2);
        expect(await createChatStore(db).getChat(ids)).toMatchObject({ version: 2, messages: [...stored, message] });
      });
      expect(cuts).toBeGreaterThan(1);
    });

    test("a retry that another writer has overtaken conflicts with expectedVersion, and wins without", async () => {
      const ours = [...stored, say("user", "ours", "ours")];
      const theirs = [...stored, say("user", "theirs", "theirs")];
      const run = (store: ChatStore, ids: Ids) => store.upsertChat({ ...ids, messages: ours, expectedVersion: 1 });
      const cuts = await cutAtEach(lose, true, run, async (ids) => {
        await createChatStore(drizzlePg(admin)).upsertChat({ ...ids, messages: theirs });
        await expect(run(storeOn(db), ids)).rejects.toBeInstanceOf(ChatConflictError);
        expect(await createChatStore(db).getChat(ids)).toMatchObject({ messages: theirs });
        await storeOn(db).upsertChat({ ...ids, messages: ours });
        expect(await createChatStore(db).getChat(ids)).toMatchObject({ messages: ours });
      });
      expect(cuts).toBeGreaterThan(0);
    });
  });
});

test("a portable store changes nothing when the connection breaks before its transaction has begun", async () => {
  const { url, drop } = await createDatabase();
  const pool = withPg(url);
  onTestFinished(async () => {
    await pool.end();
    await drop();
  });
  const faulty = faultyDatabase(pool.db);
  const store = createChatStore(faulty.db, { portable: true });
  const ids = { userId: "u", chatId: "c" };
  await store.upsertChat({ ...ids, messages: stored });
  const before = await store.getChat(ids);
  const saves: (() => Promise<unknown>)[] = [
    () => store.upsertChat({ ...ids, after: "m3", messages: [say("user", "new")] }),
    () => store.updateMessage({ ...ids, message: say("user", "edited", "m0") }),
    () => store.deleteMessage({ ...ids, messageId: "m0" }),
    () => store.startTurn({ ...ids, message: say("user", "new") }),
  ];
  for (const save of saves) {
    await expect(faulty.failing("before", save)).rejects.toMatchObject({ code: "QUERY_FAILED" });
    expect(await store.getChat(ids)).toEqual(before);
  }
});

test("the store reads and saves over postgres.js after a result that broke off", async () => {
  const { url, drop } = await createDatabase();
  const { db, end } = withPostgresJs(url);
  onTestFinished(async () => {
    await end();
    await drop();
  });
  const store = createChatStore(db);
  const ids = { userId: "u", chatId: "c" };
  const { version } = await store.upsertChat({ ...ids, messages: stored });
  // Three rows, then an error.
  const breakOff = () => expect(db.execute(sql`select 1 / (4 - i) from generate_series(1, 10) i`)).rejects.toThrow();

  await breakOff();
  expect(await store.getChat(ids)).toMatchObject({ version, messages: stored });
  await breakOff();
  expect(await store.getChats(ids)).toEqual([expect.objectContaining({ version })]);
  await breakOff();
  expect(await store.upsertChat({ ...ids, messages: stored.slice(0, 3) })).toMatchObject({ version: version + 1 });
  await breakOff();
  const portable = createChatStore(db, { portable: true });
  expect(await portable.upsertChat({ ...ids, messages: stored })).toMatchObject({ version: version + 2 });
});

import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer } from "node:net";
import { DrizzleQueryError, type SQL, sql } from "drizzle-orm";
import { drizzle as drizzlePg } from "drizzle-orm/node-postgres";
import { drizzle as drizzlePostgresJs } from "drizzle-orm/postgres-js";
import pg from "pg";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { sqlStateOf } from "../../src/errors/sqlstate.ts";
import { type ChatDatabase, ChatStoreError, createChatStore, InvalidChatError, isRetryable } from "../../src/index.ts";
import { conversation, say } from "../support/conversations.ts";
import { createDatabase } from "../support/databases.ts";
import { eventually } from "../support/eventually.ts";
import { faultyProxy } from "../support/faulty-proxy.ts";
import { freePort } from "../support/postgres.ts";

let url: string;
let drop: () => Promise<void>;
let admin: pg.Client;
beforeAll(async () => {
  ({ url, drop } = await createDatabase());
  admin = new pg.Client(url);
  await admin.connect();
});
afterAll(async () => {
  await admin.end();
  await drop();
});

/** A pool as docs/compatibility.md says it should be set up. */
function openPool(config: pg.PoolConfig = {}) {
  const pool = new pg.Pool({ connectionString: url, ...config });
  pool.on("error", () => {}).on("connect", (client) => client.on("error", () => {}));
  onTestFinished(() => pool.end());
  return pool;
}

function openPostgresJs(options: postgres.Options<Record<string, never>> = {}, to = url) {
  const client = postgres(to, { onnotice: () => {}, ...options });
  onTestFinished(() => client.end({ timeout: 0 }));
  return client;
}

async function openProxy() {
  const proxy = await faultyProxy(url);
  onTestFinished(async () => void (await proxy.close()));
  return proxy;
}

const addressAt = (port: number) => `postgres://postgres:postgres@127.0.0.1:${port}/postgres`;

/** A server that accepts connections and never says a word. */
async function silentServer() {
  const server = createServer((socket) => socket.on("error", () => {}).resume());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return addressAt((server.address() as AddressInfo).port);
}

/** Where no server is. Not where one was: the system gives such a port to the next who asks for any. */
const noServer = async () => addressAt(await freePort());

const read = (db: ChatDatabase) => createChatStore(db).getChats({ userId: "u" });
const save = (db: ChatDatabase, chatId: string = randomUUID()) =>
  createChatStore(db).upsertChat({ userId: "u", chatId, messages: conversation(2) });

const errorOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => expect.fail("it did not fail"),
    (error: unknown) => error,
  );

/** The codes in an error and all of its causes, or where one has no code, its message. */
function signaturesOf(error: unknown): unknown[] {
  if (!(error instanceof Error)) return [];
  return ["code" in error && error.code !== undefined ? error.code : error.message, ...signaturesOf(error.cause)];
}

const sleep = (db: ChatDatabase, name = "") => db.execute(sql.raw(`select pg_sleep(120) /* ${name} */`));

/** Once the server has begun to execute what `sleep` sent under this name. */
const isAsleep = (name: string) =>
  eventually(`the server executes "${name}"`, async () => {
    const active = "select from pg_stat_activity where state = 'active' and query = $1";
    const { rowCount } = await admin.query(active, [`select pg_sleep(120) /* ${name} */`]);
    return rowCount;
  });

/** Once a connection of this name waits for a lock. */
const isWaiting = (name: string) =>
  eventually(`"${name}" waits for a lock`, async () => {
    const waiting = "select from pg_stat_activity where wait_event_type = 'Lock' and application_name = $1";
    return (await admin.query(waiting, [name])).rowCount;
  });

/** Ends the connections of `name`, from the server's side. */
const terminate = (name: string) =>
  admin.query("select pg_terminate_backend(pid, 10000) from pg_stat_activity where application_name = $1", [name]);

interface Failure {
  name: string;
  /** Makes it happen, to a real driver and by a real server. */
  provoke(): Promise<unknown>;
  /** The code at the bottom of it, or where the driver gives none, its message. */
  gives: string | RegExp;
}

const retryable: Failure[] = [
  {
    name: "node-postgres: no server there",
    provoke: async () => read(drizzlePg(openPool({ connectionString: await noServer() }))),
    gives: "ECONNREFUSED",
  },
  {
    name: "postgres.js: no server there",
    provoke: async () => read(drizzlePostgresJs(openPostgresJs({}, await noServer()))),
    gives: "ECONNREFUSED",
  },
  {
    name: "node-postgres: no server there, at a Unix socket",
    provoke: () => read(drizzlePg(openPool({ connectionString: undefined, host: "/no/such/folder" }))),
    gives: "ENOENT",
  },
  {
    name: "no such host",
    provoke: () => read(drizzlePg(openPool({ connectionString: "postgres://u@no-such-host.invalid/x" }))),
    gives: /^(ENOTFOUND|EAI_AGAIN)$/,
  },
  {
    name: "node-postgres pool: the server does not answer while connecting",
    provoke: async () =>
      read(drizzlePg(openPool({ connectionString: await silentServer(), connectionTimeoutMillis: 100 }))),
    gives: "Connection terminated due to connection timeout",
  },
  {
    name: "node-postgres client: the server does not answer while connecting",
    provoke: async () =>
      new pg.Client({ connectionString: await silentServer(), connectionTimeoutMillis: 100 }).connect(),
    gives: "timeout expired",
  },
  {
    name: "postgres.js: the server does not answer while connecting",
    provoke: async () => read(drizzlePostgresJs(openPostgresJs({ connect_timeout: 1 }, await silentServer()))),
    gives: "CONNECT_TIMEOUT",
  },
  {
    name: "node-postgres: no connection becomes free",
    provoke: async () => {
      const pool = openPool({ max: 1 });
      const client = await pool.connect();
      // Not while the first one is opened.
      pool.options.connectionTimeoutMillis = 100;
      return read(drizzlePg(pool)).finally(() => client.release());
    },
    gives: "timeout exceeded when trying to connect",
  },
  {
    name: "node-postgres: the connection is closed under a statement",
    provoke: async () => {
      const proxy = await openProxy();
      const db = drizzlePg(openPool({ connectionString: proxy.url }));
      await read(db);
      proxy.cutAt({ statement: 1, lose: "statement" });
      return read(db);
    },
    gives: "Connection terminated unexpectedly",
  },
  {
    name: "postgres.js: the connection is closed under a statement",
    provoke: async () => {
      const proxy = await openProxy();
      const db = drizzlePostgresJs(openPostgresJs({}, proxy.url));
      await read(db);
      proxy.cutAt({ statement: 1, lose: "statement" });
      return read(db);
    },
    gives: "CONNECTION_CLOSED",
  },
  {
    name: "node-postgres: the connection is reset under a statement",
    provoke: async () => {
      const proxy = await openProxy();
      const db = drizzlePg(openPool({ connectionString: proxy.url }));
      return Promise.all([sleep(db, "pg"), isAsleep("pg").then(proxy.breakConnections)]);
    },
    gives: "ECONNRESET",
  },
  {
    name: "postgres.js: the connection is reset under a statement",
    provoke: async () => {
      const proxy = await openProxy();
      const db = drizzlePostgresJs(openPostgresJs({}, proxy.url));
      return Promise.all([sleep(db, "js"), isAsleep("js").then(proxy.breakConnections)]);
    },
    gives: "ECONNRESET",
  },
  {
    name: "node-postgres: the server ends the connection under a statement",
    provoke: () =>
      Promise.all([
        sleep(drizzlePg(openPool({ application_name: "ended" })), "ended"),
        isAsleep("ended").then(() => terminate("ended")),
      ]),
    gives: "57P01",
  },
  {
    name: "node-postgres: the server ends the connection between two statements of a transaction",
    provoke: () => {
      const pool = openPool({ application_name: "ended between" });
      // Until the client has noticed: before, it has other words for it.
      const noticed = new Promise((resolve) => pool.on("connect", (client) => client.once("error", resolve)));
      return drizzlePg(pool).transaction(async (tx) => {
        await tx.execute(sql`select 1`);
        await terminate("ended between");
        await noticed;
        await save(tx);
      });
    },
    gives: "Client has encountered a connection error and is not queryable",
  },
  {
    name: "the server ends a transaction that was idle for too long",
    provoke: async () => {
      const client = await openPool({ idle_in_transaction_session_timeout: 50 }).connect();
      const ended = new Promise((_, reject) => client.on("error", reject));
      await client.query("begin");
      return ended.finally(() => client.release(true));
    },
    gives: "25P03",
  },
  {
    name: "the server ends a session that was idle for too long",
    provoke: async () => {
      const pool = openPool({ options: "-c idle_session_timeout=50" });
      // From its first moment: where this process stands still, the end is read together with the beginning.
      const ended = new Promise((_, reject) => pool.on("connect", (client) => client.on("error", reject)));
      const client = await pool.connect();
      return ended.finally(() => client.release(true));
    },
    gives: "57P05",
  },
  {
    name: "a worker of Citus that is gone",
    provoke: () => admin.query("do $$ begin raise exception 'failed to COPY to shard' using errcode = '58030'; end $$"),
    gives: "58030",
  },
  {
    name: "too many connections",
    provoke: async () => {
      const role = `crowded_${randomUUID().replaceAll("-", "")}`;
      await admin.query(`create role ${role} login password 'x' connection limit 0`);
      onTestFinished(async () => void (await admin.query(`drop role ${role}`)));
      const crowded = new URL(url);
      [crowded.username, crowded.password] = [role, "x"];
      return read(drizzlePg(openPool({ connectionString: crowded.href })));
    },
    gives: "53300",
  },
  {
    name: "a server that only reads, as a standby does",
    provoke: () => save(drizzlePg(openPool({ options: "-c default_transaction_read_only=on" }))),
    gives: "25006",
  },
  {
    name: "a lock that is not given in time",
    provoke: async () => {
      const chatId = randomUUID();
      await save(drizzlePg(admin), chatId);
      await admin.query("begin");
      await admin.query("select from chat_store.chats where id = $1 for update", [chatId]);
      const db = drizzlePg(openPool({ lock_timeout: 50 }));
      const saving = createChatStore(db).upsertChat({ userId: "u", chatId, messages: [] });
      return saving.finally(() => admin.query("rollback"));
    },
    gives: "55P03",
  },
  {
    name: "another writer came first in a SERIALIZABLE transaction",
    provoke: async () => {
      const chatId = randomUUID();
      await save(drizzlePg(admin), chatId);
      return drizzlePg(openPool()).transaction(
        async (tx) => {
          await read(tx);
          await createChatStore(drizzlePg(admin)).upsertChat({ userId: "u", chatId, messages: [say("user", "first")] });
          await createChatStore(tx).upsertChat({ userId: "u", chatId, messages: [] });
        },
        { isolationLevel: "serializable" },
      );
    },
    gives: "40001",
  },
  {
    name: "a deadlock",
    provoke: async () => {
      const [one, other] = [randomUUID(), randomUUID()];
      for (const chatId of [one, other]) await save(drizzlePg(admin), chatId);
      const empty = (db: ChatDatabase, chatId: string) =>
        createChatStore(db).upsertChat({ userId: "u", chatId, messages: [] });
      const db = drizzlePg(openPool({ options: "-c deadlock_timeout=50" }));
      // Each goes on when the other has its first lock.
      let locks = 0;
      let lockedBoth = () => {};
      const bothLocked = new Promise<void>((resolve) => {
        lockedBoth = resolve;
      });
      const lockInTurn = (first: string, second: string) =>
        db.transaction(async (tx) => {
          await empty(tx, first);
          if (++locks === 2) lockedBoth();
          await bothLocked;
          await empty(tx, second);
        });
      const [first, second] = [lockInTurn(one, other), lockInTurn(other, one)];
      // One of the two is the victim.
      return Promise.all([first, second]).finally(() => Promise.allSettled([first, second]));
    },
    gives: "40P01",
  },
  {
    name: "other writers came first again and again, where there are no transactions",
    provoke: async () => {
      const chatId = randomUUID();
      await save(drizzlePg(admin), chatId);
      const db = drizzlePg(openPool({ application_name: "overtaken" }));
      const rival = await openPool().connect();
      // Each statement of the store finds the chat locked, or as it was before the change.
      const overtaken: ChatDatabase = Object.create(db, {
        transaction: { value: () => Promise.reject(new Error("No transactions support in this driver")) },
        execute: {
          value: async (statement: SQL) => {
            await rival.query("begin");
            await rival.query("update chat_store.chats set version = version + 1 where id = $1", [chatId]);
            // A statement that reads does not wait. Drizzle would run it again for each `then`.
            const result = (async () => db.execute(statement))();
            await Promise.race([result, isWaiting("overtaken")]);
            await rival.query("commit");
            return result;
          },
        },
      });
      const saving = createChatStore(overtaken).upsertChat({ userId: "u", chatId, messages: [] });
      return saving.finally(() => rival.release());
    },
    gives: "40001",
  },
];

const final: Failure[] = [
  {
    name: "another user's chat",
    provoke: async () => {
      const chatId = randomUUID();
      await save(drizzlePg(admin), chatId);
      return createChatStore(drizzlePg(admin)).upsertChat({ userId: "stranger", chatId, messages: [] });
    },
    gives: "CHAT_NOT_OWNED",
  },
  {
    name: "a conflict, which wants the chat loaded again",
    provoke: () =>
      createChatStore(drizzlePg(admin)).upsertChat({ userId: "u", chatId: "none", messages: [], expectedVersion: 3 }),
    gives: "CHAT_CONFLICT",
  },
  {
    name: "invalid input",
    provoke: () => createChatStore(drizzlePg(admin)).upsertChat({ userId: "", chatId: "c", messages: [] }),
    gives: "INVALID_CHAT",
  },
  {
    name: "no tables",
    provoke: () => createChatStore(drizzlePg(admin), { schema: "nowhere" }).getChats({ userId: "u" }),
    gives: "42P01",
  },
  {
    name: "a constraint",
    provoke: () => drizzlePg(admin).execute(sql`insert into chat_store.messages (chat_id, id) values ('none', 'm')`),
    gives: "23502",
  },
  {
    name: "no permission",
    provoke: async () => {
      const role = `powerless_${randomUUID().replaceAll("-", "")}`;
      await admin.query(`create role ${role} login password 'x'`);
      onTestFinished(async () => void (await admin.query(`drop role ${role}`)));
      const powerless = new URL(url);
      [powerless.username, powerless.password] = [role, "x"];
      return read(drizzlePg(openPool({ connectionString: powerless.href })));
    },
    gives: "42501",
  },
  {
    name: "a wrong password",
    provoke: () => {
      const wrong = new URL(url);
      wrong.username = "nobody";
      return read(drizzlePg(openPool({ connectionString: wrong.href })));
    },
    gives: /^28(P01|000)$/,
  },
  {
    name: "a statement that ran out of time",
    provoke: () => sleep(drizzlePg(openPool({ statement_timeout: 50 }))),
    gives: "57014",
  },
  {
    name: "node-postgres: an answer that node-postgres stopped waiting for",
    provoke: () => sleep(drizzlePg(openPool({ query_timeout: 50 }))),
    gives: "Query read timeout",
  },
  {
    name: "a statement in a transaction that had failed before",
    provoke: async () => {
      const client = await openPool().connect();
      await client.query("begin");
      await client.query("select 1 / 0").catch(() => {});
      return save(drizzlePg(client)).finally(() => client.release(true));
    },
    gives: "25P02",
  },
  {
    name: "node-postgres: a pool that was ended",
    provoke: async () => {
      const pool = new pg.Pool({ connectionString: url });
      await pool.end();
      return read(drizzlePg(pool));
    },
    gives: "Cannot use a pool after calling end on the pool",
  },
  {
    name: "postgres.js: a client that was ended",
    provoke: async () => {
      const client = postgres(url);
      await client.end();
      return read(drizzlePostgresJs(client));
    },
    gives: "CONNECTION_ENDED",
  },
  { name: "a missing file", provoke: () => readFile("/no/such/file"), gives: "ENOENT" },
];

describe("isRetryable", () => {
  test.each(retryable)("isRetryable is true for this failure: $name", async ({ provoke, gives }) => {
    const error = await errorOf(provoke());
    expect(signaturesOf(error)).toContainEqual(expect.stringMatching(gives));
    expect(isRetryable(error)).toBe(true);
  });

  test.each(final)("isRetryable is false for this failure: $name", async ({ provoke, gives }) => {
    const error = await errorOf(provoke());
    expect(signaturesOf(error)).toContainEqual(expect.stringMatching(gives));
    expect(isRetryable(error)).toBe(false);
  });

  test("isRetryable looks through the store's error and Drizzle's", async () => {
    const error = await errorOf(save(drizzlePg(openPool({ options: "-c default_transaction_read_only=on" }))));
    if (!ChatStoreError.isInstance(error)) throw error;
    expect(error.originalCause).toBeInstanceOf(DrizzleQueryError);
    expect(isRetryable(error.originalCause)).toBe(true);
    expect(isRetryable(error.cause)).toBe(true);
    expect("code" in error && error.code).toBe("QUERY_FAILED");
    expect(isRetryable(error)).toBe(true);
    expect(isRetryable(new Error("the application's own words", { cause: error }))).toBe(true);
  });

  test("isRetryable looks into the error of a host whose addresses all refuse", async () => {
    const port = Number(new URL(await noServer()).port);
    const addresses = ["127.0.0.1", "127.0.0.2"].map((address) => ({ address, family: 4 }));
    const error = await errorOf(
      new Promise((_, reject) =>
        connect({ host: "two-addresses", port, lookup: (_host, _options, found) => found(null, addresses) }, () =>
          reject(new Error("connected")),
        ).on("error", reject),
      ),
    );
    expect(error).toBeInstanceOf(AggregateError);
    expect(isRetryable(error)).toBe(true);
    expect(isRetryable(new AggregateError((error as AggregateError).errors))).toBe(true);
  });

  test("isRetryable looks into the error of a request, as Neon's driver over HTTP wraps it", async () => {
    const to = (await noServer()).replace(/.*@/, "http://");
    const sourceError = await errorOf(fetch(to));
    const error = Object.assign(new Error(`Error connecting to database: ${sourceError}`), { sourceError });
    expect(isRetryable(error)).toBe(true);
  });

  test("isRetryable ignores the cause of invalid input, which comes from the caller", () => {
    const cause = Object.assign(new Error("thrown by a getter"), { code: "ECONNRESET" });
    expect(isRetryable(cause)).toBe(true);
    expect(isRetryable(new InvalidChatError([{ path: [], message: "reading it threw" }], { cause }))).toBe(false);
  });

  test("isRetryable comes to an end on causes that form a circle", () => {
    const [one, other] = [new Error("one"), new Error("other")];
    one.cause = other;
    other.cause = one;
    expect(isRetryable(one)).toBe(false);
    other.cause = Object.assign(new Error("reset"), { code: "ECONNRESET", cause: one });
    expect(isRetryable(one)).toBe(true);
  });

  test.each([undefined, null, "ECONNRESET", 40001, {}, new Error("ECONNRESET"), { code: 40001 }, { message: 1 }])(
    "isRetryable is false for other values: %s",
    (other) => {
      expect(isRetryable(other)).toBe(false);
    },
  );
});

test("sqlStateOf ignores codes of the operating system, even EPIPE, which looks like a SQLSTATE", () => {
  expect(["EPIPE", "40001", "42P01", "XX000"].map((code) => sqlStateOf({ code }))).toEqual([
    undefined,
    "40001",
    "42P01",
    "XX000",
  ]);
});

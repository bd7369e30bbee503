import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { PGlite } from "@electric-sql/pglite";
import { Pool as NeonPool, neon, neonConfig } from "@neondatabase/serverless";
import { drizzle as drizzleNeonHttp } from "drizzle-orm/neon-http";
import { drizzle as drizzleNeonServerless } from "drizzle-orm/neon-serverless";
import { drizzle as drizzlePg } from "drizzle-orm/node-postgres";
import { drizzle as drizzleProxy } from "drizzle-orm/pg-proxy";
import { drizzle as drizzlePglite } from "drizzle-orm/pglite";
import { drizzle as drizzlePostgresJs } from "drizzle-orm/postgres-js";
import pg from "pg";
import postgres from "postgres";
import { inject } from "vitest";
import { type ChatDatabase, createChatStore, migrate } from "../../src/index.ts";
import { openCluster } from "./citus-cluster.ts";
import { startHttpEndpoint, startWebSocketProxy } from "./neon-services.ts";
import { type Peculiarity, peculiarities } from "./peculiarities.ts";
import { startPgBouncer } from "./pgbouncer.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** What a suite runs on, if not on the usual drivers. */
    drivers: "usual" | "others" | "servers" | "node-postgres" | "Citus";
    /** What was done to the tables and sessions that a suite runs on. */
    peculiarity: string;
  }
}

export interface TestDatabase {
  db: ChatDatabase;
  /** The same database by a driver that has transactions, which `migrate` wants. Mostly `db` itself. */
  migrator: ChatDatabase;
  /** SQL past the store and past Drizzle, on a connection of its own (PGlite has only the one). */
  query<Row extends Record<string, unknown>>(text: string, values?: unknown[]): Promise<Row[]>;
  close(): Promise<void>;
}

/** Where a chat's statements see one snapshot only if they are `portable`. */
export const isOnCitus = inject("drivers") === "Citus";

/** Creates an empty database of its own on the tests' Postgres server; or, if it is to be peculiar, one that has the tables. */
export async function createDatabase(
  peculiarity = peculiarities[inject("peculiarity") ?? ""],
): Promise<{ url: string; drop(): Promise<void> }> {
  if (isOnCitus) return openCluster(inject("postgresUrl"));
  const serverUrl = inject("postgresUrl");
  const name = `test_${randomUUID().replaceAll("-", "")}`;
  const asAdmin = async (statement: string) => {
    const client = new pg.Client(serverUrl);
    await client.connect();
    await client.query(statement).finally(() => client.end());
  };
  await asAdmin(`create database ${name}`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  if (peculiarity) {
    for (const [setting, value] of Object.entries(peculiarity.settings)) {
      await asAdmin(`alter database ${name} set ${setting} = '${value}'`);
    }
    const client = new pg.Client(url.href);
    await client.connect();
    try {
      await migrate(drizzlePg({ client }));
      for (const change of peculiarity.changes) await client.query(change);
    } finally {
      await client.end();
    }
  }
  return { url: url.href, drop: () => asAdmin(`drop database ${name} with (force)`) };
}

interface Connection {
  db: ChatDatabase;
  /** Where `db` has no transactions. */
  migrator?: ChatDatabase;
  end(): Promise<unknown>;
}
type Connect = (url: string) => Connection | Promise<Connection>;

/** An empty Postgres database, opened by one driver for the store and by node-postgres for the test's own reads. */
export async function openWith(connect: Connect, peculiarity?: Peculiarity): Promise<TestDatabase> {
  const { url, drop } = await createDatabase(peculiarity);
  const { db, migrator = db, end } = await connect(url);
  const raw = new pg.Client(url);
  await raw.connect();
  let asked: Promise<unknown> = Promise.resolve();
  return {
    db,
    migrator,
    query: async (text, values) => {
      // Tests may ask at once. pg wants one query after the other.
      const answer = asked.then(() => raw.query(text, values));
      asked = answer.catch(() => {});
      return (await answer).rows;
    },
    close: async () => {
      await Promise.all([end(), raw.end()]);
      await drop();
    },
  };
}

const openPglite = async (): Promise<TestDatabase> => {
  const loadDataDir = new Blob([await readFile(inject("emptyPglite"))]);
  const client = await PGlite.create({ loadDataDir });
  const db = drizzlePglite({ client });
  return {
    db,
    migrator: db,
    query: async <Row>(text: string, values?: unknown[]) => (await client.query<Row>(text, values)).rows,
    close: () => client.close(),
  };
};

const poolOn = (connectionString: string, max = 20) => {
  const pool = new pg.Pool({ connectionString, max });
  // Its sockets close a little after `end`, when the database may be gone already.
  pool.on("error", () => {});
  return pool;
};

export const nodePostgres = (url: string, max?: number): Connection => {
  const client = poolOn(url, max);
  return { db: drizzlePg({ client }), end: () => client.end() };
};

const nodePostgresClient = async (url: string): Promise<Connection> => {
  const client = new pg.Client(url);
  await client.connect();
  return { db: drizzlePg({ client }), end: () => client.end() };
};

export const postgresJs = (url: string, max = 20, options?: { prepare: boolean }): Connection => {
  const client = postgres(url, { max, onnotice: () => {}, ...options });
  return { db: drizzlePostgresJs({ client }), end: () => client.end() };
};

const postgresJsUnprepared = (url: string) => postgresJs(url, 20, { prepare: false });

/** Drivers with a pool of connections, which is of `max` ones. */
export const pools = [
  { name: "node-postgres", connect: nodePostgres },
  { name: "postgres.js", connect: postgresJs },
];

const throughPgBouncer =
  (connect: Connect): Connect =>
  async (url) => {
    const bouncer = await startPgBouncer(url);
    const { db, end } = await connect(bouncer.url);
    return { db, end: () => end().then(bouncer.stop) };
  };

const neonServerless = async (url: string): Promise<Connection> => {
  const proxy = await startWebSocketProxy(url);
  Object.assign(neonConfig, { wsProxy: proxy.address, useSecureWebSocket: false, pipelineConnect: false });
  const client = new NeonPool({ connectionString: url, max: 20 });
  client.on("error", () => {});
  return { db: drizzleNeonServerless({ client }), end: () => client.end().then(proxy.stop) };
};

const neonHttp = async (url: string): Promise<Connection> => {
  const endpoint = await startHttpEndpoint(url);
  neonConfig.fetchEndpoint = endpoint.url;
  const { db: migrator, end } = nodePostgres(url);
  return { db: drizzleNeonHttp({ client: neon(url) }), migrator, end: () => Promise.all([endpoint.stop(), end()]) };
};

const pgProxy = (url: string): Connection => {
  const client = poolOn(url);
  const db = drizzleProxy(async (text, values, method) => {
    const { rows } = await client.query({ text, values, ...(method === "all" ? { rowMode: "array" } : {}) });
    return { rows };
  });
  return { db, migrator: drizzlePg({ client }), end: () => client.end() };
};

/** A way to reach a database. `name` and `works` are a row of the table in docs/compatibility.md. */
export interface Driver {
  name: string;
  works: string;
  open(): Promise<TestDatabase>;
  /** Whether it opens several connections. */
  concurrent: boolean;
  /** Whether `db.transaction` does not refuse. */
  transactions: boolean;
  /** Whether live turns work: what is recorded keeps out of the transactions of others. */
  live: boolean;
}

const pooled = { works: "all", concurrent: true, transactions: true, live: true };
const overHttp = {
  works: "all but `migrate`, `portable` and transactions",
  concurrent: true,
  transactions: false,
  live: true,
};

const usual: Driver[] = [
  { ...pooled, name: "PGlite", open: openPglite, concurrent: false },
  { ...pooled, name: "node-postgres", open: () => openWith(nodePostgres) },
  { ...pooled, name: "postgres.js", open: () => openWith(postgresJs) },
];

/** Those that `npm run test:drivers` is for. */
const others: Driver[] = [
  {
    name: "node-postgres, one `Client`",
    works: "all but [live turns](turns.md#live-turns), for one request at a time",
    open: () => openWith(nodePostgresClient),
    concurrent: false,
    transactions: true,
    live: false,
  },
  { ...pooled, name: "postgres.js, `prepare: false`", open: () => openWith(postgresJsUnprepared) },
  {
    ...pooled,
    name: "node-postgres through PgBouncer",
    works: "all, without `options` and `statement_timeout`: PgBouncer refuses to connect",
    open: () => openWith(throughPgBouncer(nodePostgres)),
  },
  {
    ...pooled,
    name: "postgres.js, `prepare: false`, through PgBouncer",
    open: () => openWith(throughPgBouncer(postgresJsUnprepared)),
  },
  { ...pooled, name: "neon-serverless", open: () => openWith(neonServerless) },
  { ...overHttp, name: "neon-http", open: () => openWith(neonHttp) },
  { ...overHttp, name: "pg-proxy", open: () => openWith(pgProxy) },
];

/** Runs in test/drivers/limits.test.ts only, which shows what it says here. */
export const postgresJsThroughPgBouncer: Driver = {
  ...pooled,
  name: "postgres.js through PgBouncer",
  works: "**no**: transactions get lost without an error. Its `commit` is a prepared statement",
  open: () => openWith(throughPgBouncer(postgresJs)),
};

/** With `prepare: true`, which test/drivers/prepared.test.ts shows. */
export const preparingThroughPgBouncer: Driver = {
  ...pooled,
  name: "`prepare: true` through PgBouncer",
  works: "**no**: refused, with an error that says what to do. From 1.21 on with `max_prepared_statements`",
  open: () => openWith(throughPgBouncer(nodePostgres)),
};

export const drivers = [...usual, ...others, postgresJsThroughPgBouncer, preparingThroughPgBouncer];

const [, ...usualServers] = usual;
const nodePostgresOnly = usualServers.slice(0, 1);
const choices = { usual, others, servers: usualServers, "node-postgres": nodePostgresOnly, Citus: nodePostgresOnly };
const chosen = choices[inject("drivers") ?? "usual"];

/** Empty databases of every kind that this run is about. */
export const databases = chosen.filter(({ transactions }) => transactions);

/** Those of them that many connections can use at once. */
export const servers = databases.filter(({ concurrent }) => concurrent);

/** Those that are to be migrated by another driver and know one way to save. */
export const databasesWithoutTransactions = chosen.filter(({ transactions }) => !transactions);

/** Stands in for drivers over HTTP, whose `transaction` refuses: the same database otherwise. */
const withoutTransactions = (db: ChatDatabase): ChatDatabase =>
  Object.create(db, {
    transaction: { value: () => Promise.reject(new Error("No transactions support in this driver")) },
  });

const everyMode = [
  { mode: "saving in one statement where possible", storeOn: (db: ChatDatabase) => createChatStore(db) },
  { mode: "portable", storeOn: (db: ChatDatabase) => createChatStore(db, { portable: true }) },
  { mode: "without transactions", storeOn: (db: ChatDatabase) => createChatStore(withoutTransactions(db)) },
];

/** The ways a save can take, whatever the driver. */
export const modes =
  isOnCitus && !process.env.ALLMODES ? everyMode.filter(({ mode }) => mode === "portable") : everyMode;

export const preparing = {
  mode: "with prepared statements",
  storeOn: (db: ChatDatabase) => createChatStore(db, { prepare: true, portable: isOnCitus }),
};

/** Every one of `kinds` in every one of `modes`. */
export const inModes = <Kind extends object>(kinds: Kind[], ways = modes) =>
  kinds.flatMap((kind) => ways.map((way) => ({ ...kind, ...way })));

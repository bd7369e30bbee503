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
import { type ChatDatabase, type ChatStoreOptions, createChatStore, migrate } from "../../src/index.ts";
import { openCluster } from "./citus-cluster.ts";
import { isLong } from "./long-run.ts";
import { startHttpEndpoint, startWebSocketProxy } from "./neon-services.ts";
import { type Peculiarity, peculiarities } from "./peculiarities.ts";
import { startPgBouncer } from "./pgbouncer.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** What a suite runs on, if not on the usual drivers. */
    drivers: "usual" | "others" | "servers" | "node-postgres" | "one kind" | "Citus";
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

/** Whether this is `npm test`, which tries in addition what is the same on every driver, Postgres and Drizzle. */
export const isUsual = inject("drivers") === undefined;

/** Where a chat's statements see one snapshot only if they are `portable`. */
export const isOnCitus = inject("drivers") === "Citus";

/**
 * Creates a database on the tests' Postgres server. It has the tables, as `migrate` makes them, unless it is to be `empty`; and
 * what an application may have done to them, if that is what this run is about.
 */
export async function createDatabase({
  empty = false,
  peculiarity = peculiarities[inject("peculiarity") ?? ""] as Peculiarity | undefined,
} = {}): Promise<{ url: string; drop(): Promise<void> }> {
  if (isOnCitus) return openCluster(inject("postgresUrl"));
  const serverUrl = inject("postgresUrl");
  const name = `test_${randomUUID().replaceAll("-", "")}`;
  await runOn(serverUrl, empty ? `create database ${name}` : `create database ${name} template ${inject("migrated")}`);
  const url = Object.assign(new URL(serverUrl), { pathname: `/${name}` }).href;
  if (peculiarity) {
    const settings = Object.entries(peculiarity.settings);
    await runOn(serverUrl, ...settings.map(([setting, value]) => `alter database ${name} set ${setting} = '${value}'`));
    await runOn(url, ...peculiarity.changes);
  }
  return { url, drop: () => runOn(serverUrl, `drop database ${name} with (force)`) };
}

async function runOn(url: string, ...statements: string[]) {
  const client = new pg.Client(url);
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

type CreateOptions = Parameters<typeof createDatabase>[0];

interface Connection {
  db: ChatDatabase;
  /** Where `db` has no transactions. */
  migrator?: ChatDatabase;
  end(): Promise<unknown>;
}
type Connect = (url: string) => Connection | Promise<Connection>;

/** A Postgres database with the tables, opened by one driver for the store and by node-postgres for the test's own reads. */
export async function openWith(connect: Connect, options?: CreateOptions): Promise<TestDatabase> {
  const { url, drop } = await createDatabase(options);
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

/** PGlites of this worker that no test has open. To empty one takes a twentieth of the time that it takes to open one. */
const idlePglites: PGlite[] = [];

async function openPglite({ empty = false }: CreateOptions = {}): Promise<TestDatabase> {
  const open = async () => PGlite.create({ loadDataDir: new Blob([await readFile(inject("emptyPglite"))]) });
  const client = idlePglites.pop() ?? (await open());
  const db = drizzlePglite({ client });
  if (!empty) await migrate(db);
  return {
    db,
    migrator: db,
    query: async <Row>(text: string, values?: unknown[]) => (await client.query<Row>(text, values)).rows,
    close: async () => {
      await client.exec(dropEverything);
      idlePglites.push(client);
    },
  };
}

const dropEverything = `
  rollback;
  reset all;
  do $$ declare name text; begin
    for name in select nspname from pg_namespace where nspname !~ '^pg_|^information_schema$' loop
      execute format('drop schema %I cascade', name);
    end loop;
    for name in select rolname from pg_roles where rolname !~ '^pg_' and not rolsuper loop
      execute format('drop owned by %I; drop role %I', name, name);
    end loop;
    create schema public;
  end $$`;

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
  /** Opens a database with the tables, or an `empty` one. */
  open(options?: CreateOptions): Promise<TestDatabase>;
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
  { ...pooled, name: "node-postgres", open: (options) => openWith(nodePostgres, options) },
  { ...pooled, name: "postgres.js", open: (options) => openWith(postgresJs, options) },
];

/** Those that `npm run suite drivers` is for. */
const others: Driver[] = [
  {
    name: "node-postgres, one `Client`",
    works: "all but [live turns](turns.md#live-turns), for one request at a time",
    open: (options) => openWith(nodePostgresClient, options),
    concurrent: false,
    transactions: true,
    live: false,
  },
  { ...pooled, name: "postgres.js, `prepare: false`", open: (options) => openWith(postgresJsUnprepared, options) },
  {
    ...pooled,
    name: "node-postgres through PgBouncer",
    works: "all, without `options` and `statement_timeout`: PgBouncer refuses to connect",
    open: (options) => openWith(throughPgBouncer(nodePostgres), options),
  },
  {
    ...pooled,
    name: "postgres.js, `prepare: false`, through PgBouncer",
    open: (options) => openWith(throughPgBouncer(postgresJsUnprepared), options),
  },
  { ...pooled, name: "neon-serverless", open: (options) => openWith(neonServerless, options) },
  { ...overHttp, name: "neon-http", open: (options) => openWith(neonHttp, options) },
  { ...overHttp, name: "pg-proxy", open: (options) => openWith(pgProxy, options) },
];

/** Runs in test/drivers/limits.test.ts only, which shows what it says here. */
export const postgresJsThroughPgBouncer: Driver = {
  ...pooled,
  name: "postgres.js through PgBouncer",
  works: "**no**: transactions get lost without an error. Its `commit` is a prepared statement",
  open: (options) => openWith(throughPgBouncer(postgresJs), options),
};

/** With `prepare: true`, which test/drivers/prepared.test.ts shows. */
export const preparingThroughPgBouncer: Driver = {
  ...pooled,
  name: "`prepare: true` through PgBouncer",
  works: "**no**: refused, with an error that says what to do. From 1.21 on with `max_prepared_statements`",
  open: (options) => openWith(throughPgBouncer(nodePostgres), options),
};

export const drivers = [...usual, ...others, postgresJsThroughPgBouncer, preparingThroughPgBouncer];

const [, ...usualServers] = usual;
const nodePostgresOnly = usualServers.slice(0, 1);
const choices = {
  usual,
  others,
  servers: usualServers,
  "node-postgres": nodePostgresOnly,
  "one kind": nodePostgresOnly,
  Citus: nodePostgresOnly,
};
const chosen = choices[inject("drivers") ?? "usual"];

/** Databases of every kind that this run is about. */
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
  {
    mode: "saving in one statement where possible",
    storeOn: (db: ChatDatabase, options?: ChatStoreOptions) => createChatStore(db, options),
  },
  {
    mode: "portable",
    storeOn: (db: ChatDatabase, options?: ChatStoreOptions) => createChatStore(db, { ...options, portable: true }),
  },
  {
    mode: "without transactions",
    storeOn: (db: ChatDatabase, options?: ChatStoreOptions) => createChatStore(withoutTransactions(db), options),
  },
];

/**
 * The ways a save can take, whatever the driver. On Citus only the one that works there: it refuses the others in a transaction of the
 * caller's and where the driver has none.
 */
export const modes = everyMode.filter(({ mode }, index) => {
  if (inject("drivers") === "one kind") return index === 0;
  return !isOnCitus || mode === "portable";
});

export const preparing = {
  mode: "with prepared statements",
  storeOn: (db: ChatDatabase) => createChatStore(db, { prepare: true, portable: isOnCitus }),
};

/**
 * Every mode on node-postgres, and on the other drivers the first of them: the modes differ in their statements, the drivers in
 * how they encode values. PGlite, which is slow and a Postgres like the others, takes part where a test names it. A long run
 * tries everything.
 */
export const inModes = <Kind extends { name: string }>(kinds: Kind[], ways = modes) =>
  kinds
    .filter(({ name }) => isLong || name !== "PGlite")
    .flatMap((kind) =>
      (isLong || kind.name === "node-postgres" ? ways : ways.slice(0, 1)).map((way) => ({ ...kind, ...way })),
    );

/** PGlite in its first mode, for tests of what an embedded database could do otherwise than a server. */
export const embedded = isLong
  ? []
  : databases
      .filter(({ name }) => name === "PGlite")
      .flatMap((kind) => modes.slice(0, 1).map((way) => ({ ...kind, ...way })));

import { randomUUID } from "node:crypto";
import { PGlite } from "@electric-sql/pglite";
import { drizzle as drizzlePg } from "drizzle-orm/node-postgres";
import { drizzle as drizzlePglite } from "drizzle-orm/pglite";
import { drizzle as drizzlePostgresJs } from "drizzle-orm/postgres-js";
import pg from "pg";
import postgres from "postgres";
import { inject } from "vitest";
import { type ChatDatabase, createChatStore } from "../src/index.ts";

export interface TestDatabase {
  db: ChatDatabase;
  /** SQL past the store and past Drizzle, on a connection of its own (PGlite has only the one). */
  query<Row extends Record<string, unknown>>(text: string, values?: unknown[]): Promise<Row[]>;
  close(): Promise<void>;
}

/** Creates an empty database of its own on the tests' Postgres server. */
export async function createDatabase(): Promise<{ url: string; drop(): Promise<void> }> {
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
  return { url: url.href, drop: () => asAdmin(`drop database ${name} with (force)`) };
}

/** An empty Postgres database, opened by one driver for the store and by node-postgres for the test's own reads. */
export async function openWith(
  connect: (url: string) => { db: ChatDatabase; end(): Promise<unknown> },
): Promise<TestDatabase> {
  const { url, drop } = await createDatabase();
  const { db, end } = connect(url);
  const raw = new pg.Client(url);
  await raw.connect();
  return {
    db,
    query: async (text, values) => (await raw.query(text, values)).rows,
    close: async () => {
      await Promise.all([end(), raw.end()]);
      await drop();
    },
  };
}

const pglite = {
  name: "PGlite",
  open: async (): Promise<TestDatabase> => {
    const client = await PGlite.create();
    return {
      db: drizzlePglite(client),
      query: async <Row>(text: string, values?: unknown[]) => (await client.query<Row>(text, values)).rows,
      close: () => client.close(),
    };
  },
};

export const nodePostgres = (connectionString: string, max = 20) => {
  const pool = new pg.Pool({ connectionString, max });
  // Its sockets close a little after `end`, when the database may be gone already.
  pool.on("error", () => {});
  return { db: drizzlePg(pool), end: () => pool.end() };
};

export const postgresJs = (url: string, max = 20) => {
  const client = postgres(url, { max, onnotice: () => {} });
  return { db: drizzlePostgresJs(client), end: () => client.end() };
};

/** Drivers with a pool of connections, which is of `max` ones. */
export const drivers = [
  { name: "node-postgres", connect: nodePostgres },
  { name: "postgres.js", connect: postgresJs },
];

/** Databases that many connections can use at once. */
export const servers = drivers.map(({ name, connect }) => ({ name, open: () => openWith(connect) }));

export const databases = [pglite, ...servers];

/** Stands in for drivers over HTTP, whose `transaction` refuses: the same database otherwise. */
const withoutTransactions = (db: ChatDatabase): ChatDatabase =>
  Object.create(db, {
    transaction: { value: () => Promise.reject(new Error("No transactions support in this driver")) },
  });

/** The ways a save can take, whatever the driver. */
export const modes = [
  { mode: "saving in one statement where possible", storeOn: (db: ChatDatabase) => createChatStore(db) },
  { mode: "portable", storeOn: (db: ChatDatabase) => createChatStore(db, { portable: true }) },
  { mode: "without transactions", storeOn: (db: ChatDatabase) => createChatStore(withoutTransactions(db)) },
];

/** Every one of `kinds` in every one of `modes`. */
export const inModes = <Kind extends object>(kinds: Kind[], ways = modes) =>
  kinds.flatMap((kind) => ways.map((way) => ({ ...kind, ...way })));

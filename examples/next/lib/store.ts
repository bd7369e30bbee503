import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { type ChatStore, createChatStore, migrate } from "drizzle-chat-store";
import { drizzle as drizzlePostgres } from "drizzle-orm/node-postgres";
import type { PgDatabase, PgQueryResultHKT } from "drizzle-orm/pg-core";
import { drizzle as drizzlePGlite } from "drizzle-orm/pglite";
import { Pool } from "pg";

/** A database of either driver. */
type Database = PgDatabase<PgQueryResultHKT>;

// Next loads this module more than once, and in development again after every change. A database is opened once.
const shared = globalThis as typeof globalThis & {
  database?: Database;
  chatStore?: Promise<ChatStore> | undefined;
};

/** Opened when first asked for, not on import: `next build` imports every route, in several processes. */
export function getStore(): Promise<ChatStore> {
  shared.chatStore ??= open().catch((error) => {
    // The next request tries again: the database may only be late.
    shared.chatStore = undefined;
    throw error;
  });
  return shared.chatStore;
}

export function getDatabase(): Database {
  shared.database ??= process.env.DATABASE_URL ? postgres(process.env.DATABASE_URL) : embedded();
  return shared.database;
}

async function open() {
  await migrate(getDatabase());
  return createChatStore(getDatabase());
}

function postgres(connectionString: string) {
  const pool = new Pool({ connectionString, connectionTimeoutMillis: 10_000 });
  // Without these, a connection that breaks ends the process.
  pool.on("error", console.error).on("connect", (client) => client.on("error", console.error));
  return drizzlePostgres(pool);
}

function embedded() {
  const folder = resolve(process.env.DATA_DIR || ".data", "postgres");
  mkdirSync(folder, { recursive: true });
  return drizzlePGlite(new PGlite(folder));
}

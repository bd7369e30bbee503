import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { createChatStore } from "drizzle-chat-store";
import { drizzle as drizzlePostgres } from "drizzle-orm/node-postgres";
import type { PgDatabase, PgQueryResultHKT } from "drizzle-orm/pg-core";
import { drizzle as drizzlePGlite } from "drizzle-orm/pglite";
import { Pool } from "pg";

/** A database of either driver. */
type Database = PgDatabase<PgQueryResultHKT>;

// Next loads this module more than once, and in development again after every change. The database is opened once.
const shared = globalThis as typeof globalThis & { database?: Database };
shared.database ??= open();

export const db = shared.database;
export const store = createChatStore(db);

function open(): Database {
  // `next build` imports this module in several processes, and sends no query.
  if (process.env.NEXT_PHASE === "phase-production-build") return drizzlePGlite.mock();
  return process.env.DATABASE_URL ? postgres(process.env.DATABASE_URL) : embedded();
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

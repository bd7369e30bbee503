import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { createChatStore } from "drizzle-chat-store";
import { drizzle } from "drizzle-orm/node-postgres";
import { drizzle as drizzlePGlite } from "drizzle-orm/pglite";
import { Pool } from "pg";

const { DATABASE_URL, DATA_DIR, NEXT_PHASE } = process.env;

function open() {
  // `next build` imports this module in several processes, and sends no query.
  if (NEXT_PHASE === "phase-production-build") return drizzlePGlite.mock();
  if (!DATABASE_URL) {
    const folder = resolve(DATA_DIR || ".data", "postgres");
    mkdirSync(folder, { recursive: true });
    return drizzlePGlite(new PGlite(folder));
  }
  const pool = new Pool({ connectionString: DATABASE_URL, connectionTimeoutMillis: 10_000 });
  // Without these, a connection that breaks ends the process.
  pool.on("error", console.error).on("connect", (client) => client.on("error", console.error));
  return drizzle(pool);
}

// Next loads this module more than once. The database is opened once.
const shared = globalThis as { db?: ReturnType<typeof open> };
shared.db ??= open();
export const db = shared.db;
export const store = createChatStore(db, { branches: true });

import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { type ChatStore, createChatStore, migrate } from "drizzle-chat-store";
import { drizzle as drizzlePostgres } from "drizzle-orm/node-postgres";
import { drizzle as drizzlePGlite } from "drizzle-orm/pglite";

// Next loads this module more than once, and in development again after every change. A database is opened once.
const shared = globalThis as typeof globalThis & { chatStore?: Promise<ChatStore> };

/** Opened when first asked for, not on import: `next build` imports every route, in several processes. */
export function getStore(): Promise<ChatStore> {
  shared.chatStore ??= open();
  return shared.chatStore;
}

async function open() {
  const db = process.env.DATABASE_URL ? drizzlePostgres(process.env.DATABASE_URL) : embedded();
  await migrate(db);
  return createChatStore(db);
}

function embedded() {
  const folder = resolve(process.env.DATA_DIR || ".data", "postgres");
  mkdirSync(folder, { recursive: true });
  return drizzlePGlite(new PGlite(folder));
}

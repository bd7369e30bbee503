import { mkdir } from "node:fs/promises";
import { PGlite } from "@electric-sql/pglite";
import { createChatStore, migrate } from "drizzle-chat-store";
import { drizzle as drizzlePg } from "drizzle-orm/node-postgres";
import { drizzle as drizzlePglite } from "drizzle-orm/pglite";
import { Pool } from "pg";

/** The Postgres at DATABASE_URL, else an embedded one in the folder DATA_DIR. */
export async function openStore() {
  const { db, place, close } = process.env.DATABASE_URL
    ? openPostgres(process.env.DATABASE_URL)
    : await openEmbedded(process.env.DATA_DIR || ".data");
  await migrate(db);
  return { store: createChatStore(db), place, close };
}

function openPostgres(connectionString: string) {
  const pool = new Pool({ connectionString, connectionTimeoutMillis: 10_000 });
  // Without these, a connection that breaks ends the process.
  pool.on("error", console.error).on("connect", (client) => client.on("error", console.error));
  return { db: drizzlePg(pool), place: "the Postgres at DATABASE_URL", close: () => pool.end() };
}

/** One process at a time: PGlite is a library, not a server. */
async function openEmbedded(folder: string) {
  await mkdir(folder, { recursive: true });
  const client = await PGlite.create(folder);
  return { db: drizzlePglite(client), place: folder, close: () => client.close() };
}

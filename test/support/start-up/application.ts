import { fileURLToPath } from "node:url";
import type { ChatDatabase } from "drizzle-chat-store";
import { sql } from "drizzle-orm";
import { drizzle as drizzlePg } from "drizzle-orm/node-postgres";
import { migrate as migratePg } from "drizzle-orm/node-postgres/migrator";
import { drizzle as drizzlePostgresJs } from "drizzle-orm/postgres-js";
import { migrate as migratePostgresJs } from "drizzle-orm/postgres-js/migrator";
import pg from "pg";
import postgres from "postgres";

export const drivers = ["node-postgres", "postgres.js"] as const;
export type Driver = (typeof drivers)[number];

/**
 * What drizzle-kit would have generated for the application's own tables, which are called as ours are. One migration is older and
 * one newer than any of ours: in a shared ledger, Drizzle would skip what is older than the newest that is applied.
 */
export const migrationsFolder = fileURLToPath(new URL("migrations", import.meta.url));

interface Application {
  db: ChatDatabase;
  /** Drizzle's own `migrate`, with the application's migrations. */
  migrate(): Promise<void>;
  end(): Promise<void>;
}

export const connect: Record<Driver, (url: string, connections?: number) => Application> = {
  "node-postgres": (connectionString, max = 10) => {
    const pool = new pg.Pool({ connectionString, max });
    // Its sockets close a little after `end`, when the database may be gone already.
    pool.on("error", () => {});
    const db = drizzlePg(pool);
    return { db, migrate: () => migratePg(db, { migrationsFolder }), end: () => pool.end() };
  },
  "postgres.js": (url, max = 10) => {
    const client = postgres(url, { max, onnotice: () => {} });
    const db = drizzlePostgresJs(client);
    return { db, migrate: () => migratePostgresJs(db, { migrationsFolder }), end: () => client.end() };
  },
};

/**
 * The application's migrations from a process that is not alone. Drizzle's `migrate` fails when several run it at once, so that an application
 * leaves it to one process or takes a lock, as here. The lock belongs to the connection, of which there is only one.
 */
export async function migrateApplication({ driver, url }: { driver: Driver; url: string }) {
  const { db, migrate, end } = connect[driver](url, 1);
  try {
    await db.execute(sql`select pg_advisory_lock(1)`);
    await migrate();
  } finally {
    await end();
  }
}

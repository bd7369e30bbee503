import { sql } from "drizzle-orm";
import { integer, pgSchema, text, timestamp } from "drizzle-orm/pg-core";
import { MigrationError } from "./errors.ts";
import { type Migration, migrations } from "./migrations.ts";
import { defaultSchema } from "./schema.ts";
import { sqlStateOf } from "./sqlstate.ts";
import type { ChatDatabase, MigrateOptions } from "./types.ts";

/**
 * Brings the store's tables up to date: creates them on an empty database, applies what is missing on an older one, and
 * does nothing on a current one. Everything happens in one transaction, and any number of processes may call it at once:
 * one does the work, the others wait for it.
 *
 * The role needs CREATE on the database, or on the schema if somebody has created that already.
 *
 * @throws {MigrationError} a statement failed (the driver's error is the `cause`), or the database was migrated by a
 * newer version of this package.
 */
export async function migrate(db: ChatDatabase, options: MigrateOptions = {}): Promise<void> {
  const schemaName = options.schema ?? defaultSchema;
  let current: Migration | undefined;
  try {
    await db.transaction(
      async (tx) => {
        await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${`drizzle-chat-store ${schemaName}`}, 0))`);
        const found = await inspect(tx, schemaName);
        const pending = migrations.slice(found.version);
        if (pending.length === 0) return;

        for (current of pending) {
          for (const statement of current.statements) {
            // Postgres refuses this to a role without CREATE on the database even with IF NOT EXISTS.
            if (found.schemaExists && statement.startsWith("CREATE SCHEMA")) continue;
            await tx.execute(sql.raw(statement.replaceAll(`"${defaultSchema}"`, quoteIdentifier(schemaName))));
          }
        }
        await record(tx, schemaName, pending);
      },
      // Not whatever the database defaults to: what follows the lock must see what the previous holder committed.
      { isolationLevel: "read committed" },
    );
  } catch (cause) {
    if (MigrationError.isInstance(cause)) throw cause;
    const state = sqlStateOf(cause);
    throw new MigrationError({
      migration: current?.name ?? null,
      reason:
        `${current ? `Migration ${current.name}` : "Migrating"} failed in Postgres schema ${quoteIdentifier(schemaName)}` +
        `${state ? ` with SQLSTATE ${state}` : ""}. The driver's error is the cause of this one.`,
      cause,
    });
  }
}

/** What is there: the schema, and in it the version of the tables (0: none). */
async function inspect(tx: ChatDatabase, schemaName: string): Promise<{ schemaExists: boolean; version: number }> {
  const [catalog] = await tx
    .select({
      name: sql<string>`nspname`,
      ledger: sql<string | null>`to_regclass(quote_ident(nspname) || '.migrations')::text`,
    })
    .from(sql`pg_catalog.pg_namespace`)
    .where(sql`nspname = ${schemaName}`);
  if (!catalog?.ledger) return { schemaExists: catalog !== undefined, version: 0 };

  const ledger = ledgerIn(schemaName);
  const applied = await tx.select().from(ledger).orderBy(ledger.version);
  const newest = applied.at(-1);
  if (newest && newest.version > migrations.length) {
    throw new MigrationError({
      migration: newest.name,
      reason:
        `The tables in Postgres schema ${quoteIdentifier(schemaName)} are at version ${newest.version} (${newest.name}), ` +
        `newer than version ${migrations.length} (${migrations.at(-1)?.name}), the last one that this drizzle-chat-store knows. ` +
        "Update the package wherever it runs against this database.",
    });
  }
  return { schemaExists: true, version: newest?.version ?? 0 };
}

async function record(tx: ChatDatabase, schemaName: string, applied: readonly Migration[]): Promise<void> {
  const ledger = ledgerIn(schemaName);
  await tx.execute(sql`create table if not exists ${ledger} (
    version integer primary key,
    name text not null,
    applied_at timestamptz(3) not null default now()
  )`);
  await tx.insert(ledger).values(applied.map(({ version, name }) => ({ version, name })));
}

/** Apart from Drizzle's own ledger, which the application's migrations share and where the older of two would be skipped. */
const ledgerIn = (schemaName: string) =>
  pgSchema(schemaName).table("migrations", {
    version: integer("version").primaryKey(),
    name: text("name").notNull(),
    appliedAt: timestamp("applied_at", { withTimezone: true, precision: 3 }).notNull().defaultNow(),
  });

const quoteIdentifier = (name: string) => `"${name.replaceAll('"', '""')}"`;

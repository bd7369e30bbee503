import { queryUnprepared } from "../database/query.ts";
import { sql } from "../database/sql.ts";
import { MigrationError } from "../errors/errors.ts";
import { parseInput } from "../errors/parse-input.ts";
import { sqlState, sqlStateOf } from "../errors/sqlstate.ts";
import { migrateOptions } from "../input.ts";
import { defaultSchema } from "../schema.ts";
import type { ChatDatabase, MigrateOptions } from "../types.ts";
import { distributeStatements, readDistribution } from "./citus.ts";
import { dropIndexStatement, readInvalidIndexes } from "./invalid-indexes.ts";
import {
  type AppliedMigration,
  expectedEncoding,
  inspect,
  lockName,
  lockStatement,
  newerThan,
  onlyBuildsIndexes,
  pendingAfter,
  recordStatements,
  requireLedger,
} from "./ledger.ts";
import { type Migration, migrations, quoteIdentifier, statementsIn } from "./migrations.ts";

/**
 * Brings the store's tables up to date: creates them on an empty database, applies what is missing on an older one, and
 * does nothing on a current one, or on one that a newer version of this package has added to. Everything happens in one
 * transaction, and any number of processes may call it at once: one does the work, the others wait for it.
 *
 * The role needs CREATE on the database, or on the schema if somebody has created that already.
 *
 * @throws {MigrationError} a statement failed (the driver's error is the `cause`), or a newer version of this
 * package has applied a migration that is breaking, or the database's encoding is not UTF8.
 * @throws {InvalidChatError} the name of the schema is not valid.
 */
export async function migrate(db: ChatDatabase, options: MigrateOptions = {}): Promise<void> {
  const { schema = defaultSchema } = parseInput(migrateOptions, options);
  await applyMigrations(db, schema);
}

/** What {@link migrate} does, announcing each migration before it is applied. Resolves to the version the tables are at. */
export async function applyMigrations(
  db: ChatDatabase,
  schemaName: string,
  announce: (migration: Migration) => void = () => {},
  known = migrations,
): Promise<number> {
  let current: Migration | undefined;
  try {
    return await db.transaction(
      async (tx) => {
        await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${lockName(schemaName)}, 0))`);
        const installation = await inspect(tx, schemaName);
        const { encoding, schemaExists, applied } = installation;
        if (encoding !== expectedEncoding) throw new MigrationError(encodedOtherwise(encoding));
        requireLedger(installation, schemaName);
        const version = applied?.at(-1)?.version ?? 0;
        const breaking = newerThan(known, applied ?? []).filter((migration) => migration.breaking);
        if (breaking.length > 0) throw new MigrationError(brokenBy(breaking, schemaName, known));
        const pending = pendingAfter(known, applied ?? []);
        if (pending.length === 0) return version;
        const made = known.filter((migration) => !pending.includes(migration));
        if (made.length > 0) {
          // To drop an index takes the table from its readers, too.
          const mustDrop = (await readInvalidIndexes(tx, schemaName, pending)).length > 0;
          const forReaders = pending.every(onlyBuildsIndexes) && !mustDrop;
          await lockTables(tx, lockStatement(schemaName, made, { forReaders }));
          // Looked up again: one that was being built when the lock was asked for may be of use by now.
          for (const name of await readInvalidIndexes(tx, schemaName, pending)) {
            await tx.execute(sql.raw(dropIndexStatement(schemaName, name)));
          }
        }

        for (current of pending) {
          announce(current);
          for (const statement of statementsIn(schemaName, current)) {
            // Postgres refuses this to a role without CREATE on the database even with IF NOT EXISTS.
            if (schemaExists && statement.startsWith("CREATE SCHEMA")) continue;
            await tx.execute(sql.raw(statement));
          }
        }
        // A table that refers to a distributed one is a local one until somebody says otherwise, and then its rows outlive their chats.
        if (await readDistribution(tx, schemaName)) {
          for (const statement of distributeStatements(schemaName)) await tx.execute(sql.raw(statement));
        }
        for (const statement of recordStatements(schemaName, pending)) await tx.execute(sql.raw(statement));
        return Math.max(version, known.length);
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
        `${state ? ` with SQLSTATE ${state}` : ""}. The driver's error is the cause of this one.` +
        (state === sqlState.duplicateTable
          ? " A table of that name is there already: if your own migrations create the tables, do not call migrate."
          : "") +
        (state === sqlState.duplicateColumn
          ? " A column of that name is there already: rename the one that you have added, and migrate again."
          : "") +
        (state === sqlState.lockNotAvailable
          ? " Another transaction has held the tables for a minute: try again when it has ended (pg_stat_activity shows it)."
          : ""),
      cause,
    });
  }
}

/**
 * A lock that waits makes all others wait behind it: for as long as a backup or a report may take that has the tables. So it
 * gives up soon, and tries again. Sooner than Postgres looks for deadlocks, which it might end at the cost of a save.
 */
async function lockTables(tx: ChatDatabase, statement: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await tx.transaction(async (savepoint) => {
        const [before] = await queryUnprepared<{ timeout: string }>(
          savepoint,
          sql`select current_setting('lock_timeout') timeout, set_config('lock_timeout', '200ms', true)`,
        );
        await savepoint.execute(sql.raw(statement));
        await savepoint.execute(sql`select set_config('lock_timeout', ${before?.timeout ?? "0"}, true)`);
      });
    } catch (error) {
      if (sqlStateOf(error) !== sqlState.lockNotAvailable || attempt === maxAttempts) throw error;
      await tx.execute(sql`select pg_sleep(0.2)`);
    }
  }
}

const maxAttempts = 150;

const encodedOtherwise = (encoding: string) => ({
  migration: null,
  reason:
    `The database's encoding is ${encoding}, in which not every text comes back as it was saved. Expected ${expectedEncoding}: ` +
    "use another database, such as one made by `create database … encoding 'UTF8' template template0`.",
});

const brokenBy = (breaking: AppliedMigration[], schemaName: string, known: readonly Migration[]) => {
  const names = breaking.map(({ name }) => name);
  return {
    migration: names[0] ?? null,
    reason:
      `The tables in Postgres schema ${quoteIdentifier(schemaName)} have had ${names.join(", ")}, breaking for this ` +
      `drizzle-chat-store, of which the last migration is version ${known.length} (${known.at(-1)?.name}). ` +
      "Update the package wherever it runs against this database.",
  };
};

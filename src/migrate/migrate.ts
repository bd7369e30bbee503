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
  ledgerStatements,
  lockName,
  lockStatement,
  newerMigrations,
  onlyBuildsIndexes,
  pendingMigrations,
  readInstallation,
  requireLedgerColumns,
} from "./ledger.ts";
import { type Migration, migrations, quoteIdentifier, statementsIn } from "./migrations.ts";

/**
 * Brings the store's tables up to date: creates them in an empty database and applies the pending migrations to older
 * tables. Does nothing if the tables are current, or if a newer version of this package has added to them. Everything
 * happens in one transaction. Any number of processes may call it at once: one applies the migrations, the others wait
 * for it.
 *
 * The role needs CREATE on the database, or on the schema if that exists already.
 *
 * @throws {MigrationError} a statement failed (the driver's error is the `cause`), a newer version of this package has
 * applied a breaking migration, or the database's encoding is not UTF8.
 * @throws {InvalidChatError} the name of the schema is not valid.
 */
export async function migrate(db: ChatDatabase, options: MigrateOptions = {}): Promise<void> {
  const { schema = defaultSchema } = parseInput(migrateOptions, options);
  await applyMigrations(db, schema);
}

/** Does the work of {@link migrate}, and announces each migration before it. Resolves to the new version. */
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
        const installation = await readInstallation(tx, schemaName);
        const { encoding, schemaExists, applied } = installation;
        if (encoding !== expectedEncoding) throw new MigrationError(wrongEncoding(encoding));
        requireLedgerColumns(installation, schemaName);
        const version = applied?.at(-1)?.version ?? 0;
        const breaking = newerMigrations(known, applied ?? []).filter((migration) => migration.breaking);
        if (breaking.length > 0) throw new MigrationError(brokenByNewer(breaking, schemaName, known));
        const pending = pendingMigrations(known, applied ?? []);
        if (pending.length === 0) return version;
        const done = known.filter((migration) => !pending.includes(migration));
        if (done.length > 0) {
          // Dropping an index locks out readers, too.
          const mustDrop = (await readInvalidIndexes(tx, schemaName, pending)).length > 0;
          const allowReads = pending.every(onlyBuildsIndexes) && !mustDrop;
          await lockTables(tx, lockStatement(schemaName, done, { allowReads }));
          // Read again: an index that was still being built before the lock may be valid now.
          for (const name of await readInvalidIndexes(tx, schemaName, pending)) {
            await tx.execute(sql.raw(dropIndexStatement(schemaName, name)));
          }
        }

        for (current of pending) {
          announce(current);
          for (const statement of statementsIn(schemaName, current)) {
            // Even with IF NOT EXISTS, Postgres refuses this statement to a role without CREATE on the database.
            if (schemaExists && statement.startsWith("CREATE SCHEMA")) continue;
            await tx.execute(sql.raw(statement));
          }
        }
        // A new table is local, even if it refers to a distributed one. Deleting a chat would keep its rows.
        if (await readDistribution(tx, schemaName)) {
          for (const statement of distributeStatements(schemaName)) await tx.execute(sql.raw(statement));
        }
        for (const statement of ledgerStatements(schemaName, pending)) await tx.execute(sql.raw(statement));
        return Math.max(version, known.length);
      },
      // Set explicitly, because statements after the lock must see what its previous holder committed.
      { isolationLevel: "read committed" },
    );
  } catch (cause) {
    if (MigrationError.isInstance(cause)) throw cause;
    const state = sqlStateOf(cause);
    const subject = current ? `Migration ${current.name}` : "Migrating";
    const withState = state ? ` with SQLSTATE ${state}` : "";
    throw new MigrationError({
      migration: current?.name ?? null,
      reason:
        `${subject} failed in Postgres schema ${quoteIdentifier(schemaName)}${withState}. ` +
        `The driver's error is the cause of this one.${adviceOn[state ?? ""] ?? ""}`,
      cause,
    });
  }
}

const adviceOn: Record<string, string> = {
  [sqlState.duplicateTable]:
    " A table of that name exists already: if your own migrations create the tables, do not call migrate.",
  [sqlState.duplicateColumn]:
    " A column of that name exists already: rename the one that you have added, and migrate again.",
  [sqlState.lockNotAvailable]:
    " Another transaction held a lock on the tables for a minute: retry when it has ended (see pg_stat_activity).",
};

/**
 * Every other statement has to wait behind a lock that waits, for as long as a backup or a report holds the tables. So
 * this one gives up soon and retries. It gives up before Postgres looks for deadlocks, because Postgres might abort a
 * save to end one.
 */
async function lockTables(tx: ChatDatabase, statement: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await tx.transaction(async (savepoint) => {
        const [before] = await queryUnprepared<{ timeout: string }>(
          savepoint,
          sql`select current_setting('lock_timeout') as timeout, set_config('lock_timeout', '200ms', true)`,
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

const wrongEncoding = (encoding: string) => ({
  migration: null,
  reason:
    `The database's encoding is ${encoding}, which cannot hold every text. Expected ${expectedEncoding}: ` +
    "use another database, such as one made by `create database … encoding 'UTF8' template template0`.",
});

const brokenByNewer = (breaking: AppliedMigration[], schemaName: string, known: readonly Migration[]) => {
  const names = breaking.map(({ name }) => name);
  return {
    migration: names[0] ?? null,
    reason:
      `A newer version of drizzle-chat-store has applied the breaking migrations ${names.join(", ")} ` +
      `in Postgres schema ${quoteIdentifier(schemaName)}. ` +
      `This one knows the migrations up to version ${known.length} (${known.at(-1)?.name}), ` +
      "and does not work with the changed tables. " +
      "Update the package wherever it uses this database.",
  };
};

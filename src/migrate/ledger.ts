import { queryUnprepared } from "../database/query.ts";
import { sql } from "../database/sql.ts";
import { MigrationError } from "../errors/errors.ts";
import { defaultSchema } from "../schema.ts";
import type { ChatDatabase } from "../types.ts";
import { type Migration, qualified, tableNames } from "./migrations.ts";

export interface AppliedMigration {
  version: number;
  name: string;
  breaking: boolean;
  appliedAt: Date;
}

export interface Installation {
  /** Of the database. Anything but UTF8 does not hold all texts, and has other bytes for them than those that are digested. */
  encoding: string;
  /** Of the session. Anything but `origin` switches foreign keys off. */
  replicationRole: string;
  schemaExists: boolean;
  /** Whether there are chats, whichever program created the table. */
  tablesExist: boolean;
  /** What the ledger holds, oldest first; `null` when there is no ledger. */
  applied: AppliedMigration[] | null;
  /** Columns that the ledger ought to have and does not. Then what it holds is not to be relied on. */
  missingColumns: string[];
}

/** What there is in a Postgres schema: the tables, and which migrations they have had. */
export async function inspect(db: ChatDatabase, schemaName: string): Promise<Installation> {
  const [catalog] = await queryUnprepared<Record<"encoding" | "role" | "schema" | "chats" | "ledger", string | null>>(
    db,
    sql`select current_setting('server_encoding') encoding, current_setting('session_replication_role') role, nspname::text "schema",
to_regclass(quote_ident(nspname) || '.chats')::text chats, to_regclass(quote_ident(nspname) || '.migrations')::text ledger
from (values (1)) as one left join pg_catalog.pg_namespace on nspname = ${schemaName}`,
  );
  const rows = catalog?.ledger ? await readLedger(db, schemaName) : null;
  return {
    encoding: catalog?.encoding ?? "unknown",
    replicationRole: catalog?.role ?? "unknown",
    schemaExists: Boolean(catalog?.schema),
    tablesExist: Boolean(catalog?.chats),
    applied: rows?.applied ?? null,
    missingColumns: rows?.missingColumns ?? [],
  };
}

/** By its rows as JSON, which can be read whatever columns there are, and in which a session writes a date in one way. */
async function readLedger(db: ChatDatabase, schemaName: string) {
  const found = await queryUnprepared<{ line: string }>(
    db,
    sql.raw(`select to_json(l)::text line from ${qualified(schemaName, "migrations")} l`),
  );
  const columns = await queryUnprepared<{ name: string }>(
    db,
    sql`select a.attname::text name from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = ${schemaName} and c.relname = 'migrations' and a.attnum > 0 and not a.attisdropped`,
  );
  const names = columns.map(({ name }) => name);
  const applied = found
    .map(({ line }): AppliedMigration => {
      const { version, name, breaking, applied_at } = JSON.parse(line);
      return { version, name, breaking, appliedAt: new Date(applied_at) };
    })
    .sort((a, b) => a.version - b.version);
  return { applied, missingColumns: ledgerColumns.filter((name) => !names.includes(name)) };
}

/** @throws {MigrationError} it cannot be read from the ledger which migrations the tables have had. */
export function requireLedger({ missingColumns }: Installation, schemaName: string): void {
  if (missingColumns.length === 0) return;
  throw new MigrationError({
    migration: null,
    reason:
      `The ledger ${qualified(schemaName, "migrations")} lacks ${missingColumns.join(" and ")}, so that it does not say which ` +
      `migrations the tables have had. Expected the columns ${ledgerColumns.join(", ")}: add what is missing, as ` +
      "`npx drizzle-chat-store doctor` shows it.",
  });
}

/** In which every text comes back as it was saved. */
export const expectedEncoding = "UTF8";

/** The statements that write migrations into the ledger, which they create if it is not there. */
export const recordStatements = (schemaName: string, applied: readonly Migration[]): string[] => {
  const ledger = qualified(schemaName, "migrations");
  const lines = applied.map(({ version, name, breaking }) => `(${version}, '${name}', ${breaking})`);
  return [
    `create table if not exists ${ledger} (
  version integer primary key,
  name text not null,
  breaking boolean not null,
  applied_at timestamptz(3) not null default now()
)`,
    `insert into ${ledger} (version, name, breaking) values ${lines.join(", ")}`,
  ];
};

/** Those that the ledger does not name. A line that is missing among others is pending, too. */
export const pendingAfter = (known: readonly Migration[], applied: readonly AppliedMigration[]) =>
  known.filter(({ version }) => !applied.some((migration) => migration.version === version));

/** Those applied by a newer package that one which knows `known` does not know. */
export const newerThan = (known: readonly Migration[], applied: readonly AppliedMigration[]) =>
  applied.filter(({ version }) => version > known.length);

/** Whether a migration only builds indexes, for which nothing that reads has to wait. */
export const onlyBuildsIndexes = ({ statements }: Migration) =>
  statements.every((statement) => /^CREATE (UNIQUE )?INDEX /.test(statement));

/**
 * Takes the tables that the `applied` migrations have made from all others until the end of the transaction, in the order in which saves take
 * them. A migration that takes one after the other as it comes to them and a save could each wait for what the other has. With `forReaders`,
 * only those who write have to wait.
 */
export const lockStatement = (
  schemaName: string,
  applied: readonly Migration[],
  { forReaders }: { forReaders: boolean },
): string => {
  const made = applied.flatMap(({ statements }) => statements.join("\n"));
  const tables = tableNames.filter((table) =>
    made.some((text) => text.includes(`CREATE TABLE "${defaultSchema}"."${table}"`)),
  );
  const mode = forReaders ? "share row exclusive" : "access exclusive";
  return `lock table ${tables.map((table) => qualified(schemaName, table)).join(", ")} in ${mode} mode`;
};

/** Whoever migrates holds the advisory lock of this name until the end of the transaction. */
export const lockName = (schemaName: string) => `drizzle-chat-store ${schemaName}`;

/**
 * The ledger, as `recordStatements` makes it. Apart from Drizzle's own, which the application's migrations share and where the older of two
 * would be skipped.
 */
export const expectedLedger: Record<string, string> = {
  "column migrations.applied_at": "timestamp(3) with time zone not null default now()",
  "column migrations.breaking": "boolean not null",
  "column migrations.name": "text not null",
  "column migrations.version": "integer not null",
  "constraint migrations.migrations_pkey": "PRIMARY KEY (version)",
  "table migrations": "ordinary table",
};

const ledgerColumns = ["version", "name", "breaking", "applied_at"];

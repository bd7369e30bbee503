import { queryUnprepared } from "../database/query.ts";
import { sql } from "../database/sql.ts";
import { MigrationError } from "../errors/errors.ts";
import { defaultSchema } from "../schema.ts";
import type { ChatDatabase } from "../types.ts";
import { type Migration, qualified, tableNames } from "./migrations.ts";
import { relations } from "./relations.ts";

export interface AppliedMigration {
  version: number;
  name: string;
  breaking: boolean;
  appliedAt: Date;
}

export interface Installation {
  /** Of the database. Only UTF8 can hold every text, and has the bytes from which digests are computed. */
  encoding: string;
  /** Of the session. Any value but `origin` switches foreign keys off. */
  replicationRole: string;
  schemaExists: boolean;
  /** Whether the table of chats exists, even if `migrate` did not create it. */
  tablesExist: boolean;
  /** The rows of the ledger, oldest first; `null` when there is no ledger. */
  applied: AppliedMigration[] | null;
  /** Columns that the ledger lacks. If there are any, do not rely on `applied`. */
  missingColumns: string[];
}

/** Reads which tables exist in a Postgres schema, and which migrations have been applied to them. */
export async function readInstallation(db: ChatDatabase, schemaName: string): Promise<Installation> {
  const [found] = await queryUnprepared<Record<"encoding" | "role" | "schema" | "chats" | "ledger", string | null>>(
    db,
    sql`
      select
        current_setting('server_encoding') as encoding,
        current_setting('session_replication_role') as role,
        nspname::text as "schema",
        to_regclass(quote_ident(nspname) || '.chats')::text as chats,
        to_regclass(quote_ident(nspname) || '.migrations')::text as ledger
      from (values (1)) as one
      left join pg_catalog.pg_namespace on nspname = ${schemaName}`,
  );
  const ledger = found?.ledger ? await readLedger(db, schemaName) : null;
  return {
    encoding: found?.encoding ?? "unknown",
    replicationRole: found?.role ?? "unknown",
    schemaExists: Boolean(found?.schema),
    tablesExist: Boolean(found?.chats),
    applied: ledger?.applied ?? null,
    missingColumns: ledger?.missingColumns ?? [],
  };
}

/** Reads the rows as JSON, so that no missing column fails the query and every session writes dates alike. */
async function readLedger(db: ChatDatabase, schemaName: string) {
  const rows = await queryUnprepared<{ json: string }>(
    db,
    sql.raw(`select to_json(m)::text as json from ${qualified(schemaName, "migrations")} m`),
  );
  const columns = await queryUnprepared<{ name: string }>(
    db,
    sql`
      select a.attname::text as name
      from (${relations(schemaName, ["migrations"])}) c
      join pg_catalog.pg_attribute a on a.attrelid = c.oid
      where a.attnum > 0 and not a.attisdropped`,
  );
  const names = columns.map(({ name }) => name);
  const applied = rows
    .map(({ json }): AppliedMigration => {
      const { version, name, breaking, applied_at } = JSON.parse(json);
      return { version, name, breaking, appliedAt: new Date(applied_at) };
    })
    .sort((a, b) => a.version - b.version);
  return { applied, missingColumns: ledgerColumns.filter((name) => !names.includes(name)) };
}

/** @throws {MigrationError} the ledger lacks a column, so that it cannot tell which migrations have been applied. */
export function requireLedgerColumns({ missingColumns }: Installation, schemaName: string): void {
  if (missingColumns.length === 0) return;
  throw new MigrationError({
    migration: null,
    reason:
      `The ledger ${qualified(schemaName, "migrations")} lacks ${missingColumns.join(" and ")}, ` +
      `so it cannot tell which migrations have been applied. Expected the columns ${ledgerColumns.join(", ")}: ` +
      "add the missing ones as `npx drizzle-chat-store doctor` shows them.",
  });
}

/** The one encoding in which every text comes back as it was saved. */
export const expectedEncoding = "UTF8";

/** The statements that record migrations in the ledger, and create the ledger first if necessary. */
export const ledgerStatements = (schemaName: string, applied: readonly Migration[]): string[] => {
  const ledger = qualified(schemaName, "migrations");
  const rows = applied.map(({ version, name, breaking }) => `(${version}, '${name}', ${breaking})`);
  return [
    `create table if not exists ${ledger} (
  version integer primary key,
  name text not null,
  breaking boolean not null,
  applied_at timestamptz(3) not null default now()
)`,
    `insert into ${ledger} (version, name, breaking) values ${rows.join(", ")}`,
  ];
};

/** The migrations that the ledger does not list, even if it lists later ones. */
export const pendingMigrations = (known: readonly Migration[], applied: readonly AppliedMigration[]) =>
  known.filter(({ version }) => !applied.some((migration) => migration.version === version));

/** The applied migrations of a newer version of the package, which this one does not know. */
export const newerMigrations = (known: readonly Migration[], applied: readonly AppliedMigration[]) =>
  applied.filter(({ version }) => version > known.length);

/** Whether a migration only builds indexes, so that reads do not have to wait for it. */
export const onlyBuildsIndexes = ({ statements }: Migration) =>
  statements.every((statement) => /^CREATE (UNIQUE )?INDEX /.test(statement));

/**
 * Locks the tables that the `applied` migrations have created until the end of the transaction, in the order in which
 * saves lock them. If a migration locked one after the other as it altered them, it could deadlock with a save. With
 * `allowReads`, only writers have to wait.
 */
export const lockStatement = (
  schemaName: string,
  applied: readonly Migration[],
  { allowReads }: { allowReads: boolean },
): string => {
  const texts = applied.map(({ statements }) => statements.join("\n"));
  const tables = tableNames.filter((table) =>
    texts.some((text) => text.includes(`CREATE TABLE "${defaultSchema}"."${table}"`)),
  );
  const mode = allowReads ? "share row exclusive" : "access exclusive";
  return `lock table ${tables.map((table) => qualified(schemaName, table)).join(", ")} in ${mode} mode`;
};

/** The name of the advisory lock that a migration holds until the end of its transaction. */
export const lockName = (schemaName: string) => `drizzle-chat-store ${schemaName}`;

/**
 * The ledger that `ledgerStatements` creates. It is separate from Drizzle's, which belongs to the application's
 * migrations and skips a migration that is older than the last applied one.
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

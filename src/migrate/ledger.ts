import { sql } from "drizzle-orm";
import { boolean, integer, pgSchema, text, timestamp } from "drizzle-orm/pg-core";
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
  schemaExists: boolean;
  /** Whether there are chats, whoever created the table. */
  tablesExist: boolean;
  /** What the ledger holds, oldest first; `null` when there is no ledger. */
  applied: AppliedMigration[] | null;
}

/** What is there in a Postgres schema: the tables, and which migrations they have had. */
export async function inspect(db: ChatDatabase, schemaName: string): Promise<Installation> {
  const [catalog] = await db
    .select({
      encoding: sql<string>`current_setting('server_encoding')`,
      schema: sql<string | null>`nspname::text`,
      chats: sql<string | null>`to_regclass(quote_ident(nspname) || '.chats')::text`,
      ledger: sql<string | null>`to_regclass(quote_ident(nspname) || '.migrations')::text`,
    })
    .from(sql`(values (1)) as one left join pg_catalog.pg_namespace on nspname = ${schemaName}`);
  const ledger = ledgerIn(schemaName);
  return {
    encoding: catalog?.encoding ?? "unknown",
    schemaExists: Boolean(catalog?.schema),
    tablesExist: Boolean(catalog?.chats),
    applied: catalog?.ledger ? await db.select().from(ledger).orderBy(ledger.version) : null,
  };
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

/** Apart from Drizzle's own ledger, which the application's migrations share and where the older of two would be skipped. */
const ledgerIn = (schemaName: string) =>
  pgSchema(schemaName).table("migrations", {
    version: integer("version").primaryKey(),
    name: text("name").notNull(),
    breaking: boolean("breaking").notNull(),
    appliedAt: timestamp("applied_at", { withTimezone: true, precision: 3 }).notNull().defaultNow(),
  });

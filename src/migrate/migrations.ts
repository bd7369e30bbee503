import { getTableName, is } from "drizzle-orm";
import { PgTable } from "drizzle-orm/pg-core";
import chats from "../../migrations/0000_chats.sql";
import lifecycle from "../../migrations/0001_lifecycle.sql";
import pages from "../../migrations/0002_pages.sql";
import turns from "../../migrations/0003_turns.sql";
import branches from "../../migrations/0004_branches.sql";
import { chatTables, defaultSchema } from "../schema.ts";

export interface Migration {
  /** Position in the list, from 1. The ledger's key. */
  version: number;
  name: string;
  /**
   * Whether older versions of the package stop working on these tables. Additions are not breaking: new tables, and
   * columns that are nullable or have a default. Older versions then run on beside newer ones, and you can roll a
   * deployment back.
   */
  breaking: boolean;
  statements: string[];
}

/** All migrations, oldest first, made by drizzle-kit. A released one never changes. */
export const migrations: readonly Migration[] = Object.entries({
  "0000_chats": { text: chats, breaking: false },
  "0001_lifecycle": { text: lifecycle, breaking: false },
  "0002_pages": { text: pages, breaking: false },
  "0003_turns": { text: turns, breaking: false },
  "0004_branches": { text: branches, breaking: false },
}).map(([name, { text, breaking }], index) => ({
  version: index + 1,
  name,
  breaking,
  statements: text.split("--> statement-breakpoint").map((statement) => statement.trim()),
}));

/** All tables but the ledger, each after those that it refers to. Saves lock them in this order. */
export const tableNames: readonly string[] = Object.values(chatTables(defaultSchema))
  .filter((value) => is(value, PgTable))
  .map(getTableName);

/** The statements of a migration for a Postgres schema of any name. */
export const statementsIn = (schemaName: string, { statements }: Migration): string[] =>
  // With a string in place of the function, "$&" in a name would be a pattern.
  statements.map((statement) => statement.replaceAll(`"${defaultSchema}"`, () => quoteIdentifier(schemaName)));

/** The name of a table or an index with its schema, quoted for SQL. */
export const qualified = (schemaName: string, table: string) => `${quoteIdentifier(schemaName)}."${table}"`;

export const quoteIdentifier = (name: string) => `"${name.replaceAll('"', '""')}"`;

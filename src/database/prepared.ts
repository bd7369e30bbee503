import { createHash } from "node:crypto";
import { type Name, type SQL, sql } from "drizzle-orm";
import { type PgDatabase, PgDialect, type PgQueryResultHKT } from "drizzle-orm/pg-core";
import type { ChatDatabase } from "../types.ts";
import { type Statement, textOf } from "./statement.ts";

/**
 * Statements with more are not prepared. They come in as many texts as there are numbers of messages, and a connection keeps what
 * it has prepared for ever.
 */
const mostParameters = 60;

interface Prepared {
  execute(values: Record<string, unknown>): Promise<unknown[]>;
}
/** By their text. */
type PreparedStatements = Map<string, Prepared>;

/** What is prepared belongs to a database, whatever number of stores is made on it. */
const statementsOf = new WeakMap<ChatDatabase, PreparedStatements>();
const preparing = new WeakMap<ChatDatabase, PreparedStatements>();

/** The same database, on which the store's statements are prepared. So are they in its transactions. */
export function preparingStatements(db: ChatDatabase): ChatDatabase {
  // Of a database with replicas, the query builder would ask one of these.
  const primary = "$primary" in db ? (db.$primary as ChatDatabase) : db;
  const statements = statementsOf.get(primary) ?? new Map();
  statementsOf.set(primary, statements);
  const transaction: ChatDatabase["transaction"] = (work, config) =>
    primary.transaction((tx) => work(preparingStatements(tx)), config);
  const database: ChatDatabase = Object.create(primary, { transaction: { value: transaction } });
  preparing.set(database, statements);
  return database;
}

export const isPreparing = (db: ChatDatabase): boolean => preparing.has(db);

/** @returns undefined if nothing was done: it is not to be prepared. */
export async function executePrepared<Row extends object>(
  db: ChatDatabase,
  statement: Statement<Row>,
): Promise<Row[] | undefined> {
  const statements = preparing.get(db);
  if (!statements) return undefined;
  const { sql: text, params } = template.sqlToQuery(textOf(statement));
  if (params.length > mostParameters) return undefined;
  const prepared = statements.get(text) ?? prepare(db, statement, text);
  statements.set(text, prepared);
  return (await prepared.execute({ ...params })) as Row[];
}

/** Writes a statement with nothing but a mark in the place of each value. No text that Postgres takes has a NUL. */
class Template extends PgDialect {
  override escapeParam(): string {
    return "\0";
  }
}
const template = new Template();

/**
 * By Drizzle's query builder, which is its one public way to a prepared statement that has a name, with placeholders in the place of
 * values. The name is made from the text: neither another schema or version of this package nor the application can have given it
 * to another statement.
 */
function prepare<Row>(db: ChatDatabase, { with: parts = {}, select, from }: Statement<Row>, text: string): Prepared {
  let count = 0;
  const withPlaceholders = (piece: SQL): SQL => {
    const [first = "", ...others] = template.sqlToQuery(piece).sql.split("\0");
    return sql.join([sql.raw(first), ...others.flatMap((text) => [sql.placeholder(`${count++}`), sql.raw(text)])]);
  };
  const builder = db as PgDatabase<PgQueryResultHKT>;
  // In the order of the text.
  const tables = Object.entries(parts).map(([name, part]) => builder.$with(name, {}).as(withPlaceholders(part)));
  const selected = Object.fromEntries(
    Object.entries<SQL | Name>(select).map(([name, column]) => [name, withPlaceholders(sql`${column}`)]),
  );
  const name = `chat_store_${createHash("sha256").update(text).digest("hex").slice(0, 32)}`;
  return (
    builder
      .with(...tables)
      .select(selected)
      .from(withPlaceholders(from))
      // Or Drizzle would give from an application's cache what was read before, and do no second time what was written.
      .$withCache(false)
      .prepare(name)
  );
}

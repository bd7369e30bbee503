import { createHash } from "node:crypto";
import type { SQL } from "drizzle-orm";
import { type PgDatabase, PgDialect, type PgQueryResultHKT } from "drizzle-orm/pg-core";
import type { ChatDatabase } from "../types.ts";
import { expressionsOf, type PreparableQuery, toSql } from "./preparable-query.ts";
import { sql } from "./sql.ts";

/**
 * Statements with more parameters are not prepared. Their text differs with each number of messages, and a connection
 * keeps every statement that it has prepared.
 */
const maxPreparedParameters = 60;

interface PreparedQuery {
  execute(values: Record<string, unknown>): Promise<unknown[]>;
}
/** By the statement's text. */
type PreparedQueries = Map<string, PreparedQuery>;

/** By the application's database: all stores that are created on it share them. */
const databases = new WeakMap<ChatDatabase, ChatDatabase>();
const preparedQueries = new WeakMap<ChatDatabase, PreparedQueries>();

/** The same database, on which the statements of stores are prepared, also in the transactions that begin on it. */
export function withPreparedStatements(db: ChatDatabase): ChatDatabase {
  // The query builder of a database with replicas would read from one of them.
  const primary = "$primary" in db ? (db.$primary as ChatDatabase) : db;
  const known = databases.get(primary);
  if (known) return known;
  const transaction: ChatDatabase["transaction"] = (work, config) =>
    primary.transaction((tx) => work(withPreparedStatements(tx)), config);
  const database: ChatDatabase = Object.create(primary, { transaction: { value: transaction } });
  databases.set(primary, database);
  preparedQueries.set(database, new Map());
  return database;
}

export const isPrepared = (db: ChatDatabase): boolean => preparedQueries.has(db);

/** Returns undefined, and does nothing, if the statement is not to be prepared. */
export async function queryPrepared<Row extends object>(
  db: ChatDatabase,
  query: PreparableQuery<Row>,
): Promise<Row[] | undefined> {
  const queries = preparedQueries.get(db);
  if (!queries) return undefined;
  const { sql: text, params } = template.sqlToQuery(toSql(query));
  if (params.length > maxPreparedParameters) return undefined;
  const prepared = queries.get(text) ?? prepare(db, query, text);
  queries.set(text, prepared);
  return (await prepared.execute({ ...params })) as Row[];
}

/** Writes a NUL in the place of each value. No text that Postgres accepts has a NUL. */
class Template extends PgDialect {
  override escapeParam(): string {
    return "\0";
  }
}
const template = new Template();

/**
 * Uses Drizzle's query builder, the only public way to a prepared statement with a name, and puts placeholders in the
 * place of values. The name is a hash of the text, so no other schema, version of this package or statement of the
 * application can have it.
 */
function prepare<Row>(db: ChatDatabase, query: PreparableQuery<Row>, text: string): PreparedQuery {
  let count = 0;
  const withPlaceholders = (piece: SQL): SQL => {
    const [first = "", ...others] = template.sqlToQuery(piece).sql.split("\0");
    return sql.join([sql.raw(first), ...others.flatMap((text) => [sql.placeholder(`${count++}`), sql.raw(text)])]);
  };
  const builder = db as PgDatabase<PgQueryResultHKT>;
  // The placeholders are numbered in the order of the text: CTEs, columns, from.
  const ctes = Object.entries(query.ctes ?? {}).map(([name, cte]) => builder.$with(name, {}).as(withPlaceholders(cte)));
  const columns = Object.fromEntries(
    expressionsOf(query).map(([name, expression]) => [name, withPlaceholders(sql`${expression}`)]),
  );
  const name = `chat_store_${createHash("sha256").update(text).digest("hex").slice(0, 32)}`;
  return (
    builder
      .with(...ctes)
      .select(columns)
      .from(withPlaceholders(query.from))
      // An application's cache would return stale reads and skip repeated writes.
      .$withCache(false)
      .prepare(name)
  );
}

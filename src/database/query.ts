import type { SQL } from "drizzle-orm";
import type { ChatDatabase } from "../types.ts";
import type { Context } from "./context.ts";
import { noRows, type PreparableQuery, toSql } from "./preparable-query.ts";
import { isPrepared, queryPrepared } from "./prepared.ts";
import { sql } from "./sql.ts";

/** Runs a statement, as a prepared one if the store was created so, and returns its rows. */
export async function query<Row extends object>({ db }: Context, statement: PreparableQuery<Row>): Promise<Row[]> {
  const rows = await queryPrepared(db, statement);
  return rows ? dropHoles(rows) : queryUnprepared(db, toSql(statement));
}

/** Runs an insert, update or delete, and returns the given columns of its `returning` clause. */
export async function write<Row extends object>(
  context: Context,
  change: SQL,
  ...returned: (keyof Row & string)[]
): Promise<Row[]> {
  if (!isPrepared(context.db)) return queryUnprepared(context.db, change);
  return query<Row>(context, {
    ctes: { changed: change },
    columns: returned,
    from: returned.length > 0 ? sql`changed` : noRows,
  });
}

/**
 * Runs one statement that is never prepared. `db.execute` returns what the driver returns: an array with postgres.js,
 * an object with an array in it with all others.
 */
export async function queryUnprepared<Row>(db: ChatDatabase, statement: SQL): Promise<Row[]> {
  const result: unknown = await db.execute(statement);
  return Array.isArray(result) ? dropHoles(result) : (result as { rows: Row[] }).rows;
}

/**
 * After a result that broke off, postgres.js 3.4 begins the next result on that connection with as many empty slots as
 * it had read rows (porsager/postgres#1181). Drizzle passes them on.
 */
const dropHoles = <Row>(rows: Row[]): Row[] => rows.filter(() => true);

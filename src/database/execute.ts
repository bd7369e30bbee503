import { type SQL, sql } from "drizzle-orm";
import type { ChatDatabase } from "../types.ts";
import { executePrepared, isPreparing } from "./prepared.ts";
import { columnsNamed, type Statement, textOf } from "./statement.ts";

/** The rows of a statement, which is a prepared one if the store was made so. */
export async function execute<Row extends object>(db: ChatDatabase, statement: Statement<Row>): Promise<Row[]> {
  const rows = await executePrepared(db, statement);
  return rows ? withoutHoles(rows) : executeText(db, textOf(statement));
}

/** Does an insert, update or delete, and gives the columns of these names that it returns. */
export async function executeChange<Row extends object>(
  db: ChatDatabase,
  change: SQL,
  ...returned: (keyof Row & string)[]
): Promise<Row[]> {
  if (!isPreparing(db)) return executeText(db, change);
  return returned.length > 0
    ? execute(db, { with: { changed: change }, select: columnsNamed<Row>(...returned), from: sql`changed` })
    : execute<Row>(db, {
        with: { changed: change },
        select: columnsNamed<Row>(),
        from: sql`(select) nothing where false`,
      });
}

/**
 * The rows of a statement in one piece, which is never prepared. `db.execute` gives what the driver gives: an array with postgres.js,
 * an object that has one with the others.
 */
export async function executeText<Row>(db: ChatDatabase, statement: SQL): Promise<Row[]> {
  const result: unknown = await db.execute(statement);
  return Array.isArray(result) ? withoutHoles(result) : (result as { rows: Row[] }).rows;
}

/**
 * postgres.js 3.4 begins a result with as many holes as it had read rows of the one before it on that connection, if that
 * one broke off (porsager/postgres#1181). Drizzle passes them on.
 */
const withoutHoles = <Row>(rows: Row[]): Row[] => rows.filter(() => true);

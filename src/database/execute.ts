import type { SQL } from "drizzle-orm";
import type { ChatDatabase } from "../types.ts";

/**
 * The rows of a statement that is written out as SQL. `db.execute` gives what the driver gives: an array with postgres.js,
 * an object that has one with the others. Ask for text and int only: drivers differ in how they parse all else.
 */
export async function execute<Row>(db: ChatDatabase, statement: SQL): Promise<Row[]> {
  const result: unknown = await db.execute(statement);
  return Array.isArray(result) ? withoutHoles(result) : (result as { rows: Row[] }).rows;
}

/**
 * postgres.js 3.4 begins a result with as many holes as it had read rows of the one before it on that connection, if that
 * one broke off (porsager/postgres#1181). Drizzle passes them on.
 */
const withoutHoles = <Row>(rows: Row[]): Row[] => rows.filter(() => true);

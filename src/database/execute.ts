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
export const withoutHoles = <Row>(rows: Row[]): Row[] => rows.filter(() => true);

/** A row of `chats` as Postgres's `to_json(…)::text` writes it, whatever the session's settings for dates. */
export function parseChat(json: string) {
  const { id, user_id, title, version, created_at, updated_at } = JSON.parse(json);
  return { id, userId: user_id, title, version, createdAt: new Date(created_at), updatedAt: new Date(updated_at) };
}

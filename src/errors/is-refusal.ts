import { sqlState, sqlStateOf } from "./sqlstate.ts";

/**
 * Classes of SQLSTATEs that concern the connection, the server, the tables as a whole or the statement, and not single
 * rows: feature not supported, connection, transaction state, prepared statement, authorization, database and schema
 * name, syntax and access, resources, intervention, system, configuration, foreign data and internal errors.
 * @see https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const aboutAllRows = /^(0A|08|25|26|28|3D|3F|42|53|57|58|F0|HV|XX)/;

/**
 * Whether the database refused to change single ones of several rows, so that the others can still be changed. Reasons
 * are a foreign key of the application, its trigger, or a lock that another transaction holds.
 */
export function isRefusal(error: unknown): boolean {
  const state = sqlStateOf(error);
  return state !== undefined && (state === sqlState.queryCanceled || !aboutAllRows.test(state));
}

import { sqlState, sqlStateOf } from "./sqlstate.ts";

/**
 * What is about the connection, the server, the tables as a whole or the statement, and not about its rows: feature not supported, connection,
 * transaction state, prepared statement, authorization, database and schema name, syntax and access, resources, intervention,
 * system, configuration, foreign data and internal errors.
 * @see https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const aboutAllRows = /^(0A|08|25|26|28|3D|3F|42|53|57|58|F0|HV|XX)/;

/**
 * Whether the database has refused a change of several rows in a way that concerns single ones of them, so that the same may be done to
 * the others: a foreign key of the application's, its trigger, a lock that was not to be had.
 */
export function isRefusal(error: unknown): boolean {
  const state = sqlStateOf(error);
  return state !== undefined && (state === sqlState.queryCanceled || !aboutAllRows.test(state));
}

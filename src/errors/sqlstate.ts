/**
 * The SQLSTATEs that the store reacts to. An error is recognised by its SQLSTATE alone, because the server translates messages and
 * shards rename constraints.
 * @see https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
export const sqlState = {
  featureNotSupported: "0A000",
  invalidSqlStatementName: "26000",
  invalidSchemaName: "3F000",
  serializationFailure: "40001",
  deadlockDetected: "40P01",
  insufficientPrivilege: "42501",
  duplicateColumn: "42701",
  undefinedColumn: "42703",
  undefinedTable: "42P01",
  duplicatePreparedStatement: "42P05",
  duplicateTable: "42P07",
  statementTooComplex: "54001",
  lockNotAvailable: "55P03",
  queryCanceled: "57014",
} as const;

/** The SQLSTATE of a failed statement. Looks through the errors that Drizzle and the store wrap around the driver's error. */
export function sqlStateOf(error: unknown): string | undefined {
  for (const one of causesOf(error)) {
    const code = codeOf(one);
    if (code !== undefined && isSqlState(code)) return code;
  }
  return undefined;
}

/** The name of the constraint that a statement violated. */
export function constraintOf(error: unknown): string | undefined {
  for (const one of causesOf(error)) {
    // node-postgres and most drivers, or postgres.js.
    const name = "constraint" in one ? one.constraint : "constraint_name" in one ? one.constraint_name : undefined;
    // A trigger may raise an error with any text in this field. Then `file` is the source of its language, such as pl_exec.c.
    const isRaisedByTrigger = "file" in one && /^pl/.test(String(one.file));
    if (typeof name === "string" && !isRaisedByTrigger) return name;
  }
  return undefined;
}

/** Whether the error came from within a function or a trigger. Postgres then reports where. */
export function isRaisedInFunction(error: unknown): boolean {
  return causesOf(error).some((one) => "where" in one && Boolean(one.where));
}

/** The code that the driver gives an error. Bun's driver has a code of its own, and the SQLSTATE as a text in `errno`. */
export function codeOf(error: object): string | undefined {
  if ("errno" in error && typeof error.errno === "string") return error.errno;
  return "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** The error and its causes, outermost first. A limit, because causes may form a circle. */
function causesOf(error: unknown): object[] {
  const causes: object[] = [];
  for (let cause = error; causes.length < 5 && typeof cause === "object" && cause !== null; ) {
    causes.push(cause);
    cause = "cause" in cause ? cause.cause : undefined;
  }
  return causes;
}

/** Node's EPIPE has five capital letters, too. All of Postgres's codes have a digit. */
const isSqlState = (code: string) => /^(?=.*\d)[0-9A-Z]{5}$/.test(code);

/**
 * The SQLSTATEs that the store handles. It recognises an error by its SQLSTATE alone, because the server translates
 * messages and shards rename constraints.
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

/** The SQLSTATE of a failed statement. Looks through the errors around the driver's error. */
export function sqlStateOf(error: unknown): string | undefined {
  for (const cause of causesOf(error)) {
    const code = codeOf(cause);
    if (code !== undefined && isSqlState(code)) return code;
  }
  return undefined;
}

/** The name of the constraint that a statement violated. */
export function constraintOf(error: unknown): string | undefined {
  for (const cause of causesOf(error)) {
    // node-postgres and most drivers, or postgres.js.
    const name =
      "constraint" in cause ? cause.constraint : "constraint_name" in cause ? cause.constraint_name : undefined;
    // A trigger may put any text into this field. Then `file` is the source of its language, such as pl_exec.c.
    const isRaisedByTrigger = "file" in cause && /^pl/.test(String(cause.file));
    if (typeof name === "string" && !isRaisedByTrigger) return name;
  }
  return undefined;
}

/** Whether the error occurred in a function or a trigger. Postgres then reports where. */
export function isRaisedInFunction(error: unknown): boolean {
  return causesOf(error).some((cause) => "where" in cause && Boolean(cause.where));
}

/** The driver's code of an error. Bun's driver has codes of its own, and the SQLSTATE as a string in `errno`. */
export function codeOf(error: object): string | undefined {
  if ("errno" in error && typeof error.errno === "string") return error.errno;
  return "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** The error and its causes, outermost first. Limited, because causes may form a circle. */
function causesOf(error: unknown): object[] {
  const causes: object[] = [];
  for (let cause = error; causes.length < 5 && typeof cause === "object" && cause !== null; ) {
    causes.push(cause);
    cause = "cause" in cause ? cause.cause : undefined;
  }
  return causes;
}

/** Node's EPIPE also has five capital letters. Every SQLSTATE has a digit. */
const isSqlState = (code: string) => /^(?=.*\d)[0-9A-Z]{5}$/.test(code);

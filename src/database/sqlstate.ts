/**
 * The five-character SQLSTATE of a failed statement, looking through what Drizzle and the store wrap around the
 * driver's error. Errors are recognised by this alone: message texts are translated and constraint names change.
 */
export function sqlStateOf(error: unknown): string | undefined {
  for (let depth = 0; depth < 5 && typeof error === "object" && error !== null; depth++) {
    const code = codeOf(error);
    if (code !== undefined && isSqlState(code)) return code;
    error = "cause" in error ? error.cause : undefined;
  }
  return undefined;
}

/** The name of the constraint that a statement violated, by node-postgres and the like or by postgres.js. */
export function constraintOf(error: unknown): string | undefined {
  for (let depth = 0; depth < 5 && typeof error === "object" && error !== null; depth++) {
    // A trigger may raise an error with anything in this field, and then the file is that of its language, such as pl_exec.c.
    const isRaised = "file" in error && /^pl/.test(String(error.file));
    const name =
      "constraint" in error ? error.constraint : "constraint_name" in error ? error.constraint_name : undefined;
    if (typeof name === "string" && !isRaised) return name;
    error = "cause" in error ? error.cause : undefined;
  }
  return undefined;
}

/** What the driver says of an error. Bun's own has a code for the kind of it, and Postgres's as a text in the place of a number. */
export function codeOf(error: object): string | undefined {
  if ("errno" in error && typeof error.errno === "string") return error.errno;
  return "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** Node's EPIPE has five capital letters too. All of Postgres's own have a digit. */
const isSqlState = (code: string) => /^(?=.*\d)[0-9A-Z]{5}$/.test(code);

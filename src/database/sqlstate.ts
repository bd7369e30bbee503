/**
 * The five-character SQLSTATE of a failed statement, looking through what Drizzle and the store wrap around the
 * driver's error. Errors are recognised by this alone: message texts are translated and constraint names change.
 */
export function sqlStateOf(error: unknown): string | undefined {
  for (let depth = 0; depth < 5 && typeof error === "object" && error !== null; depth++) {
    if ("code" in error && typeof error.code === "string" && isSqlState(error.code)) return error.code;
    error = "cause" in error ? error.cause : undefined;
  }
  return undefined;
}

/** Node's EPIPE has five capital letters too. All of Postgres's own have a digit. */
const isSqlState = (code: string) => /^(?=.*\d)[0-9A-Z]{5}$/.test(code);

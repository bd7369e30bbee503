import { ChatStoreError, InvalidChatError } from "../errors.ts";
import type { ChatTables } from "../schema.ts";
import { sqlStateOf } from "./sqlstate.ts";
import { featureNotSupported } from "./where-supported.ts";

const statementTooComplex = "54001";
/** There is none of this name on this connection, or one already. */
const preparedStatementLost = new Set(["26000", "42P05"]);

/**
 * Whatever `work` throws, the caller gets a {@link ChatStoreError}. The driver's message is not repeated in it: Drizzle's
 * holds the statement's parameters, and with them what people said.
 */
export async function withTypedErrors<T>(verb: string, { schema }: ChatTables, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    if (ChatStoreError.isInstance(cause)) throw cause;
    const state = sqlStateOf(cause);
    // Where JSON.stringify has no limit, as on Node 26, Postgres is the first to have one.
    if (state === statementTooComplex) {
      const issue = { path: [], message: "holds parts or metadata that are nested too deeply; flatten them" };
      throw new InvalidChatError([issue], { cause });
    }
    if (state && preparedStatementLost.has(state)) {
      throw new ChatStoreError(
        "QUERY_FAILED",
        `${verb} failed with SQLSTATE ${state}, so nothing was changed: a connection did not keep a prepared statement, as behind a pooler. ` +
          "Expected connections that do: leave out `prepare: true`, connect directly, or set max_prepared_statements of PgBouncer 1.21 or newer.",
        { cause },
      );
    }
    const noSuchSchemaTableOrColumn = state === "3F000" || state === "42P01" || state === "42703";
    throw noSuchSchemaTableOrColumn && !isOfFunction(cause)
      ? new ChatStoreError(
          "NOT_MIGRATED",
          `${verb} did not find its tables, or not all of their columns, in Postgres schema "${schema.schemaName}". ` +
            "Call `await migrate(db)` once before the store is used, with the same schema option if there is one. " +
            "If that has been done, `npx drizzle-chat-store doctor` says what has become of them.",
          { cause },
        )
      : new ChatStoreError(
          "QUERY_FAILED",
          `${verb} failed in the database${state ? ` with SQLSTATE ${state}` : ""}. The cause says what is known of it; ` +
            "the driver's own error is in originalCause." +
            (state === featureNotSupported
              ? " Expected an engine that supports the statement. On Citus that is so with `createChatStore(db, { portable: true })`, and without row-level security."
              : ""),
          { cause },
        );
  }
}

/** Whether it happened in somebody's trigger, which looks for tables of its own. Postgres then says where. */
function isOfFunction(error: unknown): boolean {
  for (let depth = 0; depth < 5 && typeof error === "object" && error !== null; depth++) {
    if ("where" in error && error.where) return true;
    error = "cause" in error ? error.cause : undefined;
  }
  return false;
}

/** A save that gave up. Its cause has the code that Postgres has for this, by which `isRetryable` knows it. */
export const otherWritersCameFirst = (times: number) =>
  new ChatStoreError(
    "QUERY_FAILED",
    `Other writers came first ${times} times in a row, so nothing was changed. Try again.`,
    { cause: Object.assign(new Error("Could not save on the messages that it had seen."), { code: "40001" }) },
  );

import type { ChatTables } from "../schema.ts";
import { ChatStoreError, InvalidChatError } from "./errors.ts";
import { isRaisedInFunction, sqlState, sqlStateOf } from "./sqlstate.ts";

/**
 * Turns every error of `work` into a {@link ChatStoreError}. Its message does not repeat the driver's, because
 * Drizzle's message contains the statement's parameters, and with them chat content.
 */
export async function withTypedErrors<T>(method: string, { schema }: ChatTables, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    throw ChatStoreError.isInstance(cause) ? cause : typedError(method, schema.schemaName, cause);
  }
}

function typedError(method: string, schemaName: string, cause: unknown): ChatStoreError {
  const state = sqlStateOf(cause);
  switch (state) {
    // In Node 26, JSON.stringify accepts any nesting, so that Postgres is the first to refuse it.
    case sqlState.statementTooComplex: {
      const issue = { path: [], message: "holds parts or metadata that are nested too deeply; flatten them" };
      return new InvalidChatError([issue], { cause });
    }
    case sqlState.invalidSqlStatementName:
    case sqlState.duplicatePreparedStatement:
      return new ChatStoreError(
        "QUERY_FAILED",
        `${method} failed with SQLSTATE ${state}, so nothing was changed: a connection lost a prepared statement, ` +
          "as behind a pooler. Expected connections that keep them: leave out `prepare: true`, connect directly, " +
          "or set max_prepared_statements of PgBouncer 1.21 or newer.",
        { cause },
      );
    case sqlState.invalidSchemaName:
    case sqlState.undefinedTable:
    case sqlState.undefinedColumn:
      // An application's trigger may look for tables of its own.
      if (isRaisedInFunction(cause)) break;
      return new ChatStoreError(
        "NOT_MIGRATED",
        `${method} did not find its tables, or not all of their columns, in Postgres schema "${schemaName}". ` +
          "Call `await migrate(db)` once before you use the store, with the same schema option if you use one. " +
          "If you have done that, `npx drizzle-chat-store doctor` shows what is missing.",
        { cause },
      );
  }
  const withState = state ? ` with SQLSTATE ${state}` : "";
  const advice =
    state === sqlState.featureNotSupported
      ? " Expected an engine that supports the statement. " +
        "On Citus, use `createChatStore(db, { portable: true })` without row-level security."
      : "";
  return new ChatStoreError(
    "QUERY_FAILED",
    `${method} failed in the database${withState}. The cause is a redacted copy of the driver's error, ` +
      `which you may log; the error itself is in originalCause.${advice}`,
    { cause },
  );
}

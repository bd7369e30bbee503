import { sqlState, sqlStateOf } from "../errors/sqlstate.ts";
import type { ChatDatabase } from "../types.ts";
import type { Context } from "./context.ts";
import { isTransaction } from "./transaction.ts";

/** Databases that need portable mode. Kept by database, because an application may create a store for each request. */
const needPortable = new WeakSet<ChatDatabase>();

/**
 * Runs a call. If the database rejects a statement as not supported, as Citus does, runs the call again in portable
 * mode, and uses that mode for this database from then on.
 */
export async function withPortableFallback<T>(context: Context, work: (context: Context) => Promise<T>): Promise<T> {
  const portable = { ...context, settings: { ...context.settings, portable: true } };
  if (context.settings.portable || needPortable.has(context.db)) return work(portable);
  try {
    return await work(context);
  } catch (error) {
    // The error has aborted a transaction of the caller's.
    if (sqlStateOf(error) !== sqlState.featureNotSupported || isTransaction(context)) throw error;
    const result = await work(portable);
    needPortable.add(context.db);
    return result;
  }
}

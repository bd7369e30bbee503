import type { ChatDatabase, StoreSettings } from "../types.ts";
import { sqlStateOf } from "./sqlstate.ts";
import { isTransaction } from "./transaction.ts";

/** Databases that have refused a statement. Stores come and go. */
const inParts = new WeakSet<ChatDatabase>();

/** Does the calls of stores on a database, portably from the first on of which it says that it does not support a statement. */
export async function whereSupported<T>(
  db: ChatDatabase,
  settings: StoreSettings,
  work: (settings: StoreSettings) => Promise<T>,
): Promise<T> {
  const portably = { ...settings, portable: true };
  if (settings.portable || inParts.has(db)) return work(portably);
  try {
    return await work(settings);
  } catch (error) {
    // A transaction of the caller's is lost by then.
    if (sqlStateOf(error) !== featureNotSupported || isTransaction(db)) throw error;
    const result = await work(portably);
    inParts.add(db);
    return result;
  }
}

export const featureNotSupported = "0A000";

import type { ChatTables } from "../schema.ts";
import type { ChatDatabase } from "../types.ts";

/**
 * What the statements of a store need. A function that begins a transaction passes its work a context of that
 * transaction.
 */
export interface Context {
  db: ChatDatabase;
  tables: ChatTables;
  settings: StoreSettings;
}

export interface StoreSettings {
  /**
   * Save with several statements in a transaction that locks the chat: the engine's statements do not see one snapshot.
   */
  portable: boolean;
  /** The tables have policies, so that each transaction has to name the user that it works for. */
  rowLevelSecurity: boolean;
  /** Keep what answers and edits replace. */
  branches: boolean;
}

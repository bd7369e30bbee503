import type { UIMessage } from "ai";
import { ChatStoreError } from "./errors.ts";
import { getChat } from "./get-chat.ts";
import { getChats } from "./get-chats.ts";
import { chatTables, defaultSchema } from "./schema.ts";
import { sqlStateOf } from "./sqlstate.ts";
import type { ChatDatabase, ChatStore, ChatStoreOptions } from "./types.ts";
import { upsertChat } from "./upsert-chat.ts";

/**
 * Binds the store to a Drizzle database, or to a transaction, which it then takes part in. It holds no state and no
 * connection of its own, so one may be made wherever it is needed. Run {@link migrate} once before.
 *
 * @typeParam M - your application's `UIMessage`; what is stored as M is given back as M.
 */
export function createChatStore<M extends UIMessage = UIMessage>(
  db: ChatDatabase,
  options: ChatStoreOptions = {},
): ChatStore<M> {
  const schemaName = options.schema ?? defaultSchema;
  const tables = chatTables(schemaName);
  const portable = options.portable ?? false;
  const attempt = <T>(verb: keyof ChatStore, work: Promise<T>) =>
    work.catch((error: unknown) => {
      throw ChatStoreError.isInstance(error) ? error : failure(verb, schemaName, error);
    });

  return Object.freeze<ChatStore<M>>({
    upsertChat: (input) => attempt("upsertChat", upsertChat(db, tables, input, { portable })),
    getChat: (input) => attempt("getChat", getChat<M>(db, tables, input)),
    getChats: (input) => attempt("getChats", getChats(db, tables, input)),
  });
}

// The driver's message is not repeated: Drizzle's holds the statement's parameters, and with them what people said.
function failure(verb: string, schemaName: string, cause: unknown): ChatStoreError {
  const state = sqlStateOf(cause);
  const noSuchSchemaTableOrColumn = state === "3F000" || state === "42P01" || state === "42703";
  return noSuchSchemaTableOrColumn
    ? new ChatStoreError(
        "NOT_MIGRATED",
        `${verb} did not find its tables, or not all of their columns, in Postgres schema "${schemaName}". ` +
          "Call `await migrate(db)` once before the store is used, with the same schema option if there is one.",
        { cause },
      )
    : new ChatStoreError(
        "QUERY_FAILED",
        `${verb} failed in the database${state ? ` with SQLSTATE ${state}` : ""}. The driver's error is the cause of this ` +
          "one; it may hold chat text.",
        { cause },
      );
}

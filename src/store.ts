import type { UIMessage } from "ai";
import { getChat } from "./chats/get-chat.ts";
import { getChats } from "./chats/get-chats.ts";
import { upsertChat } from "./chats/upsert-chat.ts";
import { withTypedErrors } from "./database/typed-errors.ts";
import { chatStoreOptions, parseInput } from "./input.ts";
import { chatTables, defaultSchema } from "./schema.ts";
import { resumeTurn } from "./turns/resume-turn.ts";
import { startTurn } from "./turns/start-turn.ts";
import { stopTurn } from "./turns/stop-turn.ts";
import type { ChatDatabase, ChatStore, ChatStoreOptions } from "./types.ts";

/**
 * Binds the store to a Drizzle database, or to a transaction, which it then takes part in. It holds no state and no
 * connection of its own, so one may be made wherever it is needed. Run {@link migrate} once before.
 *
 * @throws {InvalidChatError} an option is not valid.
 * @typeParam M - your application's `UIMessage`; what is stored as M is given back as M.
 */
export function createChatStore<M extends UIMessage = UIMessage>(
  db: ChatDatabase,
  options: ChatStoreOptions = {},
): ChatStore<M> {
  const { schema = defaultSchema, portable = false, rowLevelSecurity = false } = parseInput(chatStoreOptions, options);
  const tables = chatTables(schema);
  const settings = { portable, rowLevelSecurity };
  return Object.freeze<ChatStore<M>>({
    upsertChat: (input) => withTypedErrors("upsertChat", tables, upsertChat(db, tables, input, settings)),
    getChat: (input) => withTypedErrors("getChat", tables, getChat<M>(db, tables, input, settings)),
    getChats: (input) => withTypedErrors("getChats", tables, getChats(db, tables, input, settings)),
    startTurn: (input) => withTypedErrors("startTurn", tables, startTurn<M>(db, tables, input, settings)),
    resumeTurn: (input) => withTypedErrors("resumeTurn", tables, resumeTurn(db, tables, input, settings)),
    stopTurn: (input) => withTypedErrors("stopTurn", tables, stopTurn(db, tables, input, settings)),
  });
}

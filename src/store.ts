import type { UIMessage } from "ai";
import type { z } from "zod/v4";
import { getBranches } from "./branches/get-branches.ts";
import { createSwitchBranch } from "./branches/switch-branch.ts";
import { claimChats } from "./chats/claim-chats.ts";
import { deleteAllChats } from "./chats/delete-all-chats.ts";
import { deleteChat } from "./chats/delete-chat.ts";
import { exportChats } from "./chats/export-chats.ts";
import { forkChat } from "./chats/fork-chat.ts";
import { getChat } from "./chats/get-chat.ts";
import { getChats } from "./chats/get-chats.ts";
import { searchChats } from "./chats/search-chats.ts";
import { updateChat } from "./chats/update-chat.ts";
import { upsertChat } from "./chats/upsert-chat.ts";
import type { Context } from "./database/context.ts";
import { withPortableFallback } from "./database/portable-fallback.ts";
import { withPreparedStatements } from "./database/prepared.ts";
import { asUser } from "./database/row-level-security.ts";
import { parseInput } from "./errors/parse-input.ts";
import { withTypedErrors } from "./errors/typed-errors.ts";
import * as input from "./input.ts";
import { deleteMessage } from "./messages/delete-message.ts";
import { getMessages } from "./messages/get-messages.ts";
import { updateMessage } from "./messages/update-message.ts";
import { chatTables, defaultSchema } from "./schema.ts";
import { recoverDeadTurns } from "./turns/recover-turns.ts";
import { resumeTurn } from "./turns/resume-turn.ts";
import { startTurn } from "./turns/start-turn.ts";
import { stopTurn } from "./turns/stop-turn.ts";
import type { ChatDatabase, ChatStore, ChatStoreOptions } from "./types.ts";

/**
 * Binds the store to a Drizzle database, or to a transaction, in which it then takes part. The store has no state and
 * no connection of its own, so you can create one wherever you need it. Run {@link migrate} once before.
 *
 * @throws {InvalidChatError} an option is not valid.
 * @typeParam M - your application's `UIMessage`. Messages are stored as M and returned as M, without validation.
 * @typeParam C - the type of a chat's metadata, likewise.
 */
export function createChatStore<M extends UIMessage = UIMessage, C = unknown>(
  db: ChatDatabase,
  options: ChatStoreOptions = {},
): ChatStore<M, C> {
  const {
    schema = defaultSchema,
    portable = false,
    rowLevelSecurity = false,
    prepare = false,
    branches = false,
  } = parseInput(input.chatStoreOptions, options);
  const context: Context = {
    db: prepare ? withPreparedStatements(db) : db,
    tables: chatTables(schema),
    settings: { portable, rowLevelSecurity, branches },
  };

  type Run<Input, Result> = (context: Context, input: Input) => Promise<Result>;

  /** A method of the store: checks its input, then runs, and throws typed errors. */
  const method =
    <Input, Result>(name: string, shape: z.ZodType<Input>, run: Run<Input, Result>) =>
    (given: unknown): Promise<Result> =>
      withTypedErrors(
        name,
        context.tables,
        withPortableFallback(context, async (context) => run(context, parseInput(shape, given))),
      );

  /**
   * All that a method does, as one user. Methods that serialise content before, or have several transactions, call
   * `asUser` themselves.
   */
  const asOwner =
    <Input extends { userId: string }, Result>(run: Run<Input, Result>): Run<Input, Result> =>
    (context, given) =>
      asUser(context, { userId: given.userId }, (context) => run(context, given));

  const store: ChatStore<M> = {
    upsertChat: method("upsertChat", input.upsertChatInput, upsertChat),
    getChat: method("getChat", input.chatInput, asOwner(getChat<M>)),
    getChats: method("getChats", input.getChatsInput, asOwner(getChats)),
    updateChat: method("updateChat", input.updateChatInput, updateChat),
    deleteChat: method("deleteChat", input.chatInput, asOwner(deleteChat)),
    forkChat: method("forkChat", input.forkChatInput, asOwner(forkChat)),
    searchChats: method("searchChats", input.searchChatsInput, asOwner(searchChats)),
    getMessages: method("getMessages", input.getMessagesInput, asOwner(getMessages<M>)),
    updateMessage: method("updateMessage", input.updateMessageInput, updateMessage),
    deleteMessage: method("deleteMessage", input.deleteMessageInput, asOwner(deleteMessage)),
    getBranches: method("getBranches", input.chatInput, asOwner(getBranches)),
    switchBranch: method("switchBranch", input.switchBranchInput, createSwitchBranch(recoverDeadTurns)),
    claimChats: method("claimChats", input.claimChatsInput, claimChats),
    deleteAllChats: method("deleteAllChats", input.userInput, deleteAllChats),
    exportChats: (given) => exportChats<M>(context, given),
    startTurn: method("startTurn", input.startTurnInput, startTurn<M>),
    resumeTurn: method("resumeTurn", input.resumeTurnInput, resumeTurn),
    stopTurn: method("stopTurn", input.stopTurnInput, asOwner(stopTurn)),
  };
  // The stored metadata is returned as C, without validation.
  return Object.freeze(store as ChatStore<M, C>);
}

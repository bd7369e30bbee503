import type { UIMessage } from "ai";
import type { BranchPoint, ExportedChat, GetBranchesInput, SwitchBranchInput } from "./branches.ts";
import type {
  Chat,
  ChatMatches,
  ChatWithMessages,
  ClaimChatsInput,
  DeleteAllChatsInput,
  DeleteChatInput,
  ExportChatsInput,
  ForkChatInput,
  GetChatInput,
  GetChatsInput,
  SearchChatsInput,
  UpdateChatInput,
  UpsertChatInput,
} from "./chats.ts";
import type { DeleteMessageInput, GetMessagesInput, MessagePage, UpdateMessageInput } from "./messages.ts";
import type { AnswerStream, ResumeTurnInput, StartTurnInput, StopTurnInput, Turn } from "./turns.ts";

/**
 * The chats of all users in one Postgres schema. Every method takes the `userId` of the signed-in user, which must come
 * from your own session and never from the request's body, and sees only the chats of that user.
 *
 * Besides the errors listed at each method, all methods throw {@link InvalidChatError} for invalid input, and
 * {@link ChatStoreError} when the database fails. In a transaction of your own, the listed errors leave the transaction
 * usable. A statement that the database refuses aborts it, as usual.
 */
export interface ChatStore<M extends UIMessage = UIMessage, C = unknown> {
  /**
   * Creates the chat, or replaces its messages with `messages`, all or nothing. Writes only the diff: a save that
   * changes nothing leaves `version` and `updatedAt` as they are. Without `expectedVersion`, the last writer wins.
   *
   * @returns the chat after the save.
   * @throws {ChatOwnershipError} the chat belongs to another user.
   * @throws {ChatConflictError} `expectedVersion` was given, and the stored chat has another version (reason `version`)
   * or does not exist (`gone`). Not thrown if the stored messages are already the given ones, so that a retry after a
   * lost confirmation succeeds.
   * @throws {InvalidChatError} also if `after` is the id of no message in a chat of this user.
   */
  upsertChat(input: UpsertChatInput<M>): Promise<Chat<C>>;

  /**
   * Reads the chat and its messages in one snapshot.
   *
   * @returns `null` if the chat does not exist or belongs to another user: the two cannot be told apart.
   */
  getChat(input: GetChatInput): Promise<ChatWithMessages<M, C> | null>;

  /** Lists the user's chats without their messages, newest activity first: either the archived chats or the others. */
  getChats(input: GetChatsInput): Promise<Chat<C>[]>;

  /**
   * Updates a chat's title, archived flag or metadata. Does not change `version` or `updatedAt`, so it never conflicts
   * with a concurrent save or turn, and never reorders the list.
   *
   * @returns the chat after the update, or `null` if it does not exist or belongs to another user.
   */
  updateChat(input: UpdateChatInput<C>): Promise<Chat<C> | null>;

  /**
   * Deletes the chat with all of its messages. A running turn stops and stores nothing: its `onEnd` rejects with
   * {@link ChatConflictError}.
   *
   * @returns whether the user had such a chat.
   */
  deleteChat(input: DeleteChatInput): Promise<boolean>;

  /**
   * Copies a chat under a new id, inside the database: its messages up to and including `throughMessageId`, with their
   * ids, order and times. Does not copy the metadata, the archived flag and the unfinished answer of a running turn.
   *
   * @returns the new chat, or `null` if the user has no such chat, or the chat has no such message.
   * @throws {ChatConflictError} the user already has a chat under the new id (reason `id-taken`).
   * @throws {ChatOwnershipError} another user has.
   */
  forkChat(input: ForkChatInput): Promise<Chat<C> | null>;

  /**
   * Searches the titles of a user's chats, also archived ones, and the text parts of their messages, ignoring case in
   * every script. One call reads at most 500 chats, 5,000 messages and 8 MB. If there is more, or if there are more
   * matches than `limit` or 2 MB, it returns a `cursor` for the next call.
   *
   * Like `getChats`, it skips a chat that is saved between two pages: that chat is at the top of the list by then.
   */
  searchChats(input: SearchChatsInput): Promise<ChatMatches<C>>;

  /**
   * Reads the last messages of a chat, or the last before a given message: a page of a conversation that is read from
   * its end. The cost does not depend on the length of the chat.
   *
   * To save such a page with `upsertChat`, pass `after`: saved as the whole conversation, it would delete the rest.
   *
   * @returns `null` if the chat does not exist or belongs to another user.
   * @throws {InvalidChatError} also if the message `before` no longer exists: load the last messages again.
   */
  getMessages(input: GetMessagesInput): Promise<MessagePage<M, C> | null>;

  /**
   * Replaces the parts and metadata of a stored message. Its role and position stay. A turn that answers it stops and
   * stores nothing.
   *
   * @returns the chat after the update, or `null` if the user has no such chat, or the chat has no such message.
   * @throws {ChatConflictError} `expectedVersion` was given, the stored chat has another version, and the message
   * differs.
   * @throws {InvalidChatError} also if the stored message has another role.
   */
  updateMessage(input: UpdateMessageInput<M>): Promise<Chat<C> | null>;

  /**
   * Deletes a message; with `following`, also all messages at later positions. A turn that answers one of them stops
   * and stores nothing.
   *
   * @returns the chat after the deletion, or `null` if the user has no such chat, or the chat has no such message.
   * @throws {ChatConflictError} `expectedVersion` was given, and the stored chat has another version.
   */
  deleteMessage(input: DeleteMessageInput): Promise<Chat<C> | null>;

  /**
   * Lists the points at which the conversation has alternatives, in its order. Alternatives inside a branch that is not
   * current are not among them.
   *
   * @returns `[]` also if the chat does not exist or belongs to another user.
   */
  getBranches(input: GetBranchesInput): Promise<BranchPoint[]>;

  /**
   * Makes a branch the current end of the conversation, with its ids and times, and keeps the present end as a branch.
   * `version` increases by one, and once more if the half answer of a dead turn is stored first. A running turn whose
   * question leaves stops and stores nothing.
   *
   * @returns the chat after the switch, or `null` if the user has no such chat, or the conversation has no such branch.
   * @throws {ChatConflictError} `expectedVersion` was given, and the stored chat has another version.
   * @throws {InvalidChatError} also if a message of the branch stands before its point by now: a save has put it there.
   */
  switchBranch(input: SwitchBranchInput): Promise<Chat<C> | null>;

  /**
   * Makes all chats of one user another user's, as when a guest signs up. Their times and order stay. A running turn
   * goes on, and its answer is stored for the new owner. Safe to call again.
   *
   * Both ids must come from sessions that you have checked. A client that can choose `fromUserId` takes the chats of
   * another user. If a link can carry a guest's id, its author gets that guest's chats claimed by another user.
   *
   * @returns the number of claimed chats.
   */
  claimChats(input: ClaimChatsInput): Promise<number>;

  /**
   * Deletes all data of a user, in batches of a hundred chats; in a transaction of your own, all at once. Safe to call
   * again, also after an interruption. Running turns store nothing any more.
   *
   * @returns the number of deleted chats.
   */
  deleteAllChats(input: DeleteAllChatsInput): Promise<number>;

  /**
   * Iterates over all chats of a user with their messages, also the archived ones, in no particular order. It reads one
   * chat at a time, and returns every chat that existed at the beginning, whatever is saved in the meantime. Errors are
   * thrown while you iterate.
   */
  exportChats(input: ExportChatsInput): AsyncIterable<ExportedChat<M, C>>;

  /**
   * Starts one turn of a conversation, for a route handler: loads or creates the chat, puts the message where it
   * belongs, and saves it before the model is called.
   *
   * | the message | with | it is | what happens |
   * | --- | --- | --- | --- |
   * | user, new id | | a question | appended |
   * | user, stored id | `trigger: "regenerate-message"` | asked again | nothing is cut; the answer's save replaces what followed the question when the turn started, and keeps what came meanwhile |
   * | user, stored id | `trigger: "submit-message"` and `messageId` | an edit | replaces the question and cuts what follows, at once |
   * | user, stored id | `trigger: "submit-message"` alone | a retry, with the same parts | cuts nothing; its answer takes the place of this question's answer, if there is one |
   * | user, stored id | no `trigger` | asked again with the same parts, an edit with others | as above |
   * | assistant, the last one | | answers to pending tool calls | merged into what is stored, nothing else |
   *
   * `persist` saves the answer right after its question. Only the newest turn of a question can store its answer. Turns
   * are not locks: an abandoned turn never blocks the chat.
   *
   * @throws {ChatOwnershipError} the chat belongs to another user.
   * @throws {ChatConflictError} the message answers tool calls on whose answers another turn has acted, or is acting
   * (reason `approval`). If that turn has died, the store knows after five minutes, or after some twelve seconds if it
   * was recorded.
   * @throws {InvalidChatError} the message is more than a browser may send: a new message has the role `user`, a stored
   * one keeps its role, and of an assistant message, which must be the last, only pending tool calls can be answered.
   * Also if the store was created for a transaction, which would end before the answer is saved.
   */
  startTurn(input: StartTurnInput<M>): Promise<Turn<M, C>>;

  /**
   * Streams the turn that is running in this chat, from its beginning and live to its end, on whatever server it runs:
   * the body of a response with the SDK's `UI_MESSAGE_STREAM_HEADERS`. It reads what `consumeSseStream` records, with a
   * delay of a quarter of a second.
   *
   * With the `version` that the page shows, it also streams the answer at the end of the chat, if that was stored
   * since. A turn whose process has died is detected by ten seconds without a heartbeat. Its recording then becomes its
   * answer, and the stream ends with an error, so that the page can offer to ask again.
   *
   * @returns `null` if there is nothing to stream: respond with 204. Also if the chat does not exist or belongs to
   * another user.
   * @throws {InvalidChatError} the store was created for a transaction, which would end before the stream.
   */
  resumeTurn(input: ResumeTurnInput): Promise<AnswerStream | null>;

  /**
   * Asks the running turn to stop, on whatever server it runs. Its answer up to then is stored. A recorded turn notices
   * within a second, and its `abortSignal` aborts.
   *
   * @returns whether a turn was running. False also for a turn whose server has died, and if the chat does not exist or
   * belongs to another user.
   */
  stopTurn(input: StopTurnInput): Promise<boolean>;
}

export interface ChatStoreOptions {
  /** The Postgres schema of the tables. Default `"chat_store"`. */
  schema?: string | undefined;
  /**
   * Save with several statements in a transaction that locks the chat, for engines whose statements do not see one
   * snapshot, such as Citus. A store finds out by itself: the first save fails and is repeated in this mode. In a
   * transaction of your own it cannot, so set the option there. Default false.
   */
  portable?: boolean | undefined;
  /**
   * The tables have the policies that `npx drizzle-chat-store sql --rls` prints. Every call then runs in a transaction
   * that names the user, which takes three more round trips. Default false.
   */
  rowLevelSecurity?: boolean | undefined;
  /**
   * Prepare the store's statements, under names made from their text, which halves their cost in Postgres. Use it with
   * direct connections and with poolers that keep prepared statements, such as PgBouncer from 1.21 on with
   * `max_prepared_statements`. It works with node-postgres and Neon's `Pool`. Other drivers prepare by themselves or
   * cannot, and ignore it. Default false.
   */
  prepare?: boolean | undefined;
  /**
   * Keep what answers and edits replace, so that `switchBranch` can bring it back. Behind each message, at most 50
   * alternatives are kept beside the current one. Default false.
   */
  branches?: boolean | undefined;
}

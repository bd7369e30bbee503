import type { UIMessage } from "ai";
import type {
  Chat,
  ChatMatches,
  ChatWithMessages,
  ClaimChatsInput,
  DeleteAllChatsInput,
  DeleteChatInput,
  DeleteMessageInput,
  ExportChatsInput,
  ForkChatInput,
  GetChatInput,
  GetChatsInput,
  GetMessagesInput,
  MessagePage,
  ResumeTurnInput,
  SearchChatsInput,
  StartTurnInput,
  StopTurnInput,
  Turn,
  UpdateChatInput,
  UpdateMessageInput,
  UpsertChatInput,
} from "../types.ts";

/**
 * The chats of all users in one Postgres schema. Every method takes the `userId` of whoever is asking, from your own
 * session and never from the request's body, and sees that user's chats only.
 *
 * Besides the errors named at each method, all throw {@link InvalidChatError} for input that is not valid and
 * {@link ChatStoreError} when the database refuses. In a transaction of your own the named ones leave it usable; a statement
 * that the database refused has aborted it, as any other would.
 */
export interface ChatStore<M extends UIMessage = UIMessage, C = unknown> {
  /**
   * Creates the chat, or makes its messages exactly `messages`, in that order: all or nothing.
   * Only what differs is written; a save that changes nothing leaves `version` and `updatedAt` alone.
   * Without `expectedVersion` the last writer wins, whole.
   *
   * @returns the chat as it is stored now.
   * @throws {ChatOwnershipError} the chat belongs to another user.
   * @throws {ChatConflictError} `expectedVersion` was given, and the stored chat has another version (reason `version`) or does not
   * exist (`gone`), and its content is not already what is being saved (so a retry after a lost answer succeeds).
   * @throws {InvalidChatError} also if `after` is the id of no message in a chat of this user.
   */
  upsertChat(input: UpsertChatInput<M>): Promise<Chat<C>>;

  /**
   * The chat and its messages, read in one snapshot.
   *
   * @returns `null` when it does not exist or belongs to another user: the two cannot be told apart.
   */
  getChat(input: GetChatInput): Promise<ChatWithMessages<M, C> | null>;

  /** The user's chats without their messages, newest activity first; none for an unknown user. Either the archived ones or the others. */
  getChats(input: GetChatsInput): Promise<Chat<C>[]>;

  /**
   * Changes what is said about a chat: its title, whether it is archived, and your application's own metadata. Leaves `version` and
   * `updatedAt` alone: it is in nobody's way who saves or answers meanwhile, and the list keeps its order.
   *
   * @returns the chat as it is stored now, or `null` when it does not exist or belongs to another user.
   */
  updateChat(input: UpdateChatInput<C>): Promise<Chat<C> | null>;

  /**
   * Deletes the chat with all of its messages. A turn that is running in it stops, and stores nothing: its `onEnd` rejects with
   * {@link ChatConflictError}.
   *
   * @returns whether there was one. False also if it belongs to another user.
   */
  deleteChat(input: DeleteChatInput): Promise<boolean>;

  /**
   * Copies a chat under a new id, inside the database: its messages up to and including `throughMessageId`, with their ids, order and
   * times. Neither its metadata nor its being archived are copied, and of a turn that is running only what is stored already.
   *
   * @returns the new chat, or `null` when there is no such chat of this user, or no such message in it.
   * @throws {ChatConflictError} the user has a chat under the new id already (reason `id-taken`).
   * @throws {ChatOwnershipError} another user has.
   */
  forkChat(input: ForkChatInput): Promise<Chat<C> | null>;

  /**
   * Looks for a text in the titles of a user's chats, the archived ones too, and in the text parts of their messages: in upper and lower
   * case, in any script, as it is written. One call looks at 500 chats, 5,000 messages and 8 MB at most; where there are more, or more
   * matches than `limit` or than 2 MB, it gives a `cursor` for the next call.
   *
   * Like `getChats`, it passes over a chat that is saved while somebody pages: that one is at the top by then.
   */
  searchChats(input: SearchChatsInput): Promise<ChatMatches<C>>;

  /**
   * The last messages of a chat, or the last before a message: a page of a conversation that is read from its end. Takes the
   * same time however long the chat is.
   *
   * To save what was loaded so, give `upsertChat` also `after`: as the whole conversation, it would delete the rest.
   *
   * @returns `null` when the chat does not exist or belongs to another user.
   * @throws {InvalidChatError} also if the message `before` is not there any more: load the last messages again.
   */
  getMessages(input: GetMessagesInput): Promise<MessagePage<M, C> | null>;

  /**
   * Gives a stored message other parts and metadata. Its role and place stay. A turn that answers it stops, and stores nothing.
   *
   * @returns the chat as it is stored now, or `null` when there is no such chat of this user, or no such message in it.
   * @throws {ChatConflictError} `expectedVersion` was given, the stored chat has another, and the message is not already like this.
   * @throws {InvalidChatError} also if it is stored with another role.
   */
  updateMessage(input: UpdateMessageInput<M>): Promise<Chat<C> | null>;

  /**
   * Deletes a message, with `following` also all after it, by their places and not by their times. A turn that answers one of them
   * stops, and stores nothing.
   *
   * @returns the chat as it is stored now, or `null` when there is no such chat of this user, or no such message in it.
   * @throws {ChatConflictError} `expectedVersion` was given, and the stored chat has another.
   */
  deleteMessage(input: DeleteMessageInput): Promise<Chat<C> | null>;

  /**
   * The chats of one user become another's, as when a guest signs up; their times and order stay. A turn that is running in one of
   * them goes on, and its answer is stored for the new owner. Safe to call again.
   *
   * Both ids must come from sessions that you have checked. Whoever can choose `fromUserId` takes another person's chats; whoever can
   * have somebody else sign in on a link with a guest's id in it gets theirs.
   *
   * @returns how many.
   */
  claimChats(input: ClaimChatsInput): Promise<number>;

  /**
   * Deletes all that is stored of a user, in batches of a hundred chats; in a transaction of your own, all at once. Safe to call again,
   * also after it was interrupted. Turns that are running store nothing any more.
   *
   * @returns how many chats it has deleted.
   */
  deleteAllChats(input: DeleteAllChatsInput): Promise<number>;

  /**
   * All chats of a user with their messages, the archived ones too, in no order that means anything. They are read one at a time, each
   * as it is stored then: whatever is saved meanwhile, none that was there at the beginning is passed over. Errors come while you iterate.
   */
  exportChats(input: ExportChatsInput): AsyncIterable<ChatWithMessages<M, C>>;

  /**
   * Starts one turn of a conversation, for a route handler: loads the chat (or creates it), puts the message where it
   * belongs, and saves it and the turn's mark before a token is generated.
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
   * The answer is saved by what `persist` holds, right after its question. Of one question one turn is the current one: a newer
   * one supersedes it, and then it stores nothing. A turn that nobody finishes blocks nothing.
   *
   * @throws {ChatOwnershipError} the chat belongs to another user.
   * @throws {ChatConflictError} the message answers tool calls on whose answers another turn has acted, or is acting (reason
   * `approval`). Of a turn that has died this is known after five minutes, or some twelve seconds if it is recorded.
   * @throws {InvalidChatError} the message is more than a browser may claim: a new id has the role `user`, a stored id
   * keeps its role, and of an assistant message, which must be the last, only pending tool calls can be answered. Also if
   * the store was made for a transaction, which would have ended when the answer is saved.
   */
  startTurn(input: StartTurnInput<M>): Promise<Turn<M, C>>;

  /**
   * The turn that is running in this chat, from its beginning, live to its end, wherever it runs: the body of a response with the
   * SDK's `UI_MESSAGE_STREAM_HEADERS`. It reads what `consumeSseStream` records, a quarter of a second behind.
   *
   * With the `version` that the page shows, also the answer with which the chat ends, if it was stored since. A turn whose process
   * has died is known by ten seconds of silence; what was recorded of it then becomes its answer, and its stream ends with an
   * error, so that the page can offer to ask again.
   *
   * @returns `null` when there is nothing to show: answer 204. Also if the chat does not exist or belongs to another user.
   * @throws {InvalidChatError} the store was made for a transaction, which would have ended before the stream.
   */
  resumeTurn(input: ResumeTurnInput): Promise<ReadableStream<Uint8Array> | null>;

  /**
   * Asks the turn that is running to stop, on whatever server it runs; its answer up to then is stored. The turn learns of it
   * within a second, if it is recorded, and its `abortSignal` aborts.
   *
   * @returns whether one was running. False also for a turn whose server has died, and if the chat does not exist or belongs to another user.
   */
  stopTurn(input: StopTurnInput): Promise<boolean>;
}

export interface ChatStoreOptions {
  /** The Postgres schema that holds the tables. Default `"chat_store"`. */
  schema?: string | undefined;
  /**
   * Always save through a locking transaction, never in one statement: for engines whose statements do not see one
   * snapshot, such as Citus. A store finds out there by an error of its first save, which is then done anew; in a transaction of
   * the caller's it cannot. Default false.
   */
  portable?: boolean | undefined;
  /**
   * The tables have the policies that `npx drizzle-chat-store sql --rls` prints: every call then runs in a transaction that
   * tells them whose it is. Three more round trips each. Default false.
   */
  rowLevelSecurity?: boolean | undefined;
  /**
   * The store's statements are prepared, under names made from their text, which halves what they cost Postgres. For direct connections
   * and for poolers that keep prepared statements: PgBouncer from 1.21 with `max_prepared_statements`. With node-postgres and Neon's
   * `Pool`; other drivers do it by themselves or cannot, and then this changes nothing. Default false.
   */
  prepare?: boolean | undefined;
}

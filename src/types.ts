import type { UIMessage } from "ai";
import type * as PgCore from "drizzle-orm/pg-core";

/**
 * Any Drizzle Postgres database, of any driver and with any schema of your own, or a transaction of one.
 * The store opens no connection itself.
 */
// The class is called PgDatabase up to Drizzle 0.45 and PgAsyncDatabase from 1.0 on. By its prototype, because its own
// defaults reject a database that was given a schema.
export type ChatDatabase = (typeof PgCore)[keyof typeof PgCore & ("PgDatabase" | "PgAsyncDatabase")]["prototype"];

/** A chat without its messages. */
export interface Chat {
  id: string;
  /** The user it belongs to. Never changes. */
  userId: string;
  /** `""` until one is given. */
  title: string;
  /** Starts at 1 and counts the saves that changed something. */
  version: number;
  createdAt: Date;
  /** Time of the last save that changed something, in milliseconds precision, from the database's clock. */
  updatedAt: Date;
}

/** A chat with all of its messages, in order. */
export interface ChatWithMessages<M extends UIMessage = UIMessage> extends Chat {
  messages: M[];
}

export interface UpsertChatInput<M extends UIMessage = UIMessage> {
  /** Who saves: 1 to 255 characters. A new chat will belong to this user; an existing one must already. */
  userId: string;
  /** 1 to 255 characters, without NUL or unpaired surrogates, which a Postgres text cannot hold. */
  chatId: string;
  /** At most 1,000 characters. Left out, a stored title stays and a new chat gets `""`. */
  title?: string | undefined;
  /**
   * The whole conversation. Ids must be non-empty, unique within the chat and at most 255 characters. Of each message
   * `id`, `role`, `metadata` and `parts` are stored, the last two as `JSON.stringify` writes them.
   */
  messages: readonly M[];
  /** Save only if the stored chat still has this version, usually the one `getChat` gave. */
  expectedVersion?: number | undefined;
}

export interface GetChatInput {
  /** Who asks. */
  userId: string;
  chatId: string;
}

export interface GetChatsInput {
  /** Whose chats. */
  userId: string;
  /** At most this many chats: a positive integer. Left out, all of them. */
  limit?: number | undefined;
  /** The last chat of the previous page: the list goes on after it, also when chats were added or moved meanwhile. */
  before?: Pick<Chat, "id" | "updatedAt"> | undefined;
}

export interface StartTurnInput<M extends UIMessage = UIMessage> {
  /** Who asks, from your own session. */
  userId: string;
  chatId: string;
  /**
   * Used only if this turn creates the chat. It may be the question itself: what a title cannot hold is left out, white space
   * becomes single spaces, and it is cut to 1,000 characters.
   */
  title?: string | undefined;
  /**
   * The one message the browser sends: a new question, a stored one (edited, or to be answered anew), or the last
   * assistant message with answers to its pending tool calls. It may come unchecked from the request's body.
   */
  message: M;
  /**
   * What the request is, as the SDK's transport hands it to `prepareSendMessagesRequest`. It tells a retry from a
   * regeneration. Left out, a stored question with the same parts is asked again, and with others is an edit.
   */
  trigger?: "submit-message" | "regenerate-message" | undefined;
  /** From the same place: with `"submit-message"`, the id of the stored question that is edited. */
  messageId?: string | undefined;
  /**
   * What `streamText` is given. A browser may give the output of those that have no `execute`; without this, of none.
   * Approvals need no list, because only the server can have asked for them.
   */
  tools?: Readonly<Record<string, object>> | undefined;
}

export interface ResumeTurnInput {
  /** Who looks, from your own session. */
  userId: string;
  chatId: string;
  /** The version of the chat that the page shows, as `getChat` gave it: tells an answer that it shows from one that is news to it. */
  version?: number | undefined;
}

export interface StopTurnInput {
  /** Who stops it, from your own session. */
  userId: string;
  chatId: string;
  /** The id of the last message that the page shows, question or answer: then no later turn is hit, however late this comes. */
  messageId?: string | undefined;
}

/** A turn whose question is stored and whose answer is about to be generated. */
export interface Turn<M extends UIMessage = UIMessage> {
  /** The chat as it is stored with the question. */
  chat: Chat;
  /** The conversation up to and including the question: what the model is to answer. */
  messages: M[];
  /**
   * Spread it into `toUIMessageStream({ ... })` (ai 7) or `result.toUIMessageStreamResponse({ ... })` (ai 5 and 6), and
   * the answer is saved when the stream ends, however it ends. Where there is no stream, call
   * `persist.onEnd({ responseMessage })` yourself.
   */
  persist: {
    originalMessages: M[];
    /** The id that the answer will have, always the same: a random UUID, or the id of the message that is continued. */
    generateMessageId: () => string;
    /**
     * Saves the answer, once: a second call gives the first one's promise, or tries again if that has failed. An answer in
     * which nothing was said, because the provider failed or somebody stopped it, is not stored and replaces nothing.
     *
     * @throws {ChatConflictError} a newer turn of the same question has taken over, or the question was cut or edited, or
     * the chat deleted. Nothing was changed.
     */
    onEnd(event: { responseMessage: M }): Promise<void>;
    /** The same function, under the name it has in ai 5 and 6. */
    onFinish(event: { responseMessage: M }): Promise<void>;
  };
  /**
   * For `streamText`. Aborts when somebody has called `stopTurn`, a newer turn has taken the question, or the chat was deleted;
   * within a second if the turn is recorded, and else never.
   */
  abortSignal: AbortSignal;
  /**
   * For `createUIMessageStreamResponse` (ai 7) or `toUIMessageStreamResponse` (ai 5 and 6). Reads the answer to its end, also
   * when the browser has gone, and records it for `resumeTurn` while it does: four statements a second while the model speaks,
   * one while it is silent. Never rejects; whatever fails here, the answer is saved at its end all the same.
   */
  consumeSseStream(options: { stream: ReadableStream<string> }): Promise<void>;
}

/**
 * The chats of all users in one Postgres schema. Every method takes the `userId` of whoever is asking, from your own
 * session and never from the request's body, and sees that user's chats only.
 *
 * Besides the errors named at each method, all throw {@link InvalidChatError} for input that is not valid and
 * {@link ChatStoreError} when the database refuses. In a transaction of your own the named ones leave it usable; a statement
 * that the database refused has aborted it, as any other would.
 */
export interface ChatStore<M extends UIMessage = UIMessage> {
  /**
   * Creates the chat, or makes its messages exactly `messages`, in that order: all or nothing.
   * Only what differs is written; a save that changes nothing leaves `version` and `updatedAt` alone.
   * Without `expectedVersion` the last writer wins, whole.
   *
   * @returns the chat as it is stored now.
   * @throws {ChatOwnershipError} the chat belongs to another user.
   * @throws {ChatConflictError} `expectedVersion` was given, the stored chat has another version or none, and its
   * content is not already what is being saved (so a retry after a lost answer succeeds).
   */
  upsertChat(input: UpsertChatInput<M>): Promise<Chat>;

  /**
   * The chat and its messages, read in one snapshot.
   *
   * @returns `null` when it does not exist or belongs to another user: the two cannot be told apart.
   */
  getChat(input: GetChatInput): Promise<ChatWithMessages<M> | null>;

  /** The user's chats without their messages, newest activity first; none for an unknown user. */
  getChats(input: GetChatsInput): Promise<Chat[]>;

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
   * @throws {ChatConflictError} the message answers tool calls on whose answers another turn has acted, or is acting. Of a
   * turn that has died this is known after five minutes, or ten seconds if it is recorded.
   * @throws {InvalidChatError} the message is more than a browser may claim: a new id has the role `user`, a stored id
   * keeps its role, and of an assistant message, which must be the last, only pending tool calls can be answered. Also if
   * the store was made for a transaction, which would have ended when the answer is saved.
   */
  startTurn(input: StartTurnInput<M>): Promise<Turn<M>>;

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
   * Asks the turn that is running to stop, on whatever server it runs; what was said until then is stored. The turn learns of it
   * within a second, if it is recorded, and its `abortSignal` aborts.
   *
   * @returns whether there was one. False also if the chat does not exist or belongs to another user.
   */
  stopTurn(input: StopTurnInput): Promise<boolean>;
}

export interface ChatStoreOptions {
  /** The Postgres schema that holds the tables. Default `"chat_store"`. */
  schema?: string | undefined;
  /**
   * Always save through a locking transaction, never in one statement: for engines whose statements do not see one
   * snapshot, such as Citus. Default false.
   */
  portable?: boolean | undefined;
  /**
   * The tables have the policies that `npx drizzle-chat-store sql --rls` prints: every call then runs in a transaction that
   * tells them whose it is. Three more round trips each. Default false.
   */
  rowLevelSecurity?: boolean | undefined;
}

/** The options that the verbs themselves need to know. */
export type StoreSettings = { [Name in "portable" | "rowLevelSecurity"]: boolean };

export interface MigrateOptions {
  /** The Postgres schema to put the tables in. Default `"chat_store"`. Created if it does not exist. */
  schema?: string | undefined;
}

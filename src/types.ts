import type { UIMessage } from "ai";

export type { ChatStore, ChatStoreOptions } from "./types/chat-store.ts";

/**
 * Any Drizzle Postgres database, of any driver and with any schema of your own, or a transaction of one.
 * The store opens no connection itself.
 *
 * It lists what the store calls, so that a database also fits from CommonJS or from another copy of drizzle-orm: Drizzle's
 * own class is another type in each.
 */
export interface ChatDatabase {
  // The dialect refuses a MySQL database, which has these methods, too.
  execute(query: string | { getSQL(): unknown }): Promise<unknown> & { readonly _: { readonly dialect: "pg" } };
  transaction<T>(
    work: (tx: ChatDatabase) => Promise<T>,
    config?: { isolationLevel?: "read committed" | "repeatable read"; accessMode?: "read only" },
  ): Promise<T>;
  /** For the option `prepare`, as `with` is. */
  $with(name: string, selection: object): unknown;
  with(...queries: never[]): unknown;
}

/**
 * A chat without its messages.
 *
 * @typeParam C - what your application says about a chat in `metadata`.
 */
export interface Chat<C = unknown> {
  id: string;
  /** The user it belongs to. Changes only when another user claims it. */
  userId: string;
  /** `""` until one is given. */
  title: string;
  /** Starts at 1 and counts the saves that changed something. */
  version: number;
  createdAt: Date;
  /** Time of the last save that changed something, in milliseconds precision, from the database's clock. */
  updatedAt: Date;
  /** Since when it is archived; `null` if it is not. */
  archivedAt: Date | null;
  /** What `updateChat` was given. Absent when there is none. */
  metadata?: C;
}

/** A chat with all of its messages, in order. */
export interface ChatWithMessages<M extends UIMessage = UIMessage, C = unknown> extends Chat<C> {
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
  /**
   * The id of a stored message: then `messages` are those that follow it, and that one and all before it stay as they are. For whoever has
   * loaded only the end of a chat, as with `getMessages`: saved as the whole conversation, it would delete the rest.
   */
  after?: string | undefined;
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
  /** Only those that are archived. Default false: only those that are not. */
  archived?: boolean | undefined;
  /** At most this many chats: a positive integer. Left out, all of them. */
  limit?: number | undefined;
  /** The last chat of the previous page: the list goes on after it, also when chats were added or moved meanwhile. */
  before?: Pick<Chat, "id" | "updatedAt"> | undefined;
}

export interface GetMessagesInput {
  /** Who asks. */
  userId: string;
  chatId: string;
  /** At most this many messages: a positive integer. */
  limit: number;
  /** The id of the first message of the page that comes after this one. Left out, the last messages. */
  before?: string | undefined;
}

/** Some messages of a chat, in order, without a gap. */
export interface MessagePage<M extends UIMessage = UIMessage, C = unknown> {
  chat: Chat<C>;
  /** Not the whole conversation: to save with `upsertChat` what was loaded so, give it `after`. */
  messages: M[];
  /**
   * `sentAt[i]` is when `messages[i]` was first stored, by the database's clock: a question when its turn started, an answer when it
   * ended. An edit keeps it, and so does a fork.
   */
  sentAt: Date[];
  /** Whether there are messages before these. */
  hasMore: boolean;
}

export interface SearchChatsInput {
  /** Whose chats. */
  userId: string;
  /** What is looked for, as it is, in upper or lower case: 1 to 255 characters. */
  query: string;
  /** At most this many matches: a positive integer. Default 20. */
  limit?: number | undefined;
  /** The cursor of the previous page: the search goes on from there. Left out, it begins with the newest activity. */
  cursor?: string | undefined;
}

export interface ChatMatches<C = unknown> {
  /** Newest activity first; of one chat, its title first and then its newest messages. */
  matches: ChatMatch<C>[];
  /** Pass it back for the next page, also if this one is empty. Opaque, and fit for a URL. `null` when the search has read everything. */
  cursor: string | null;
}

/** Where something was found: once for each title and each message. */
export interface ChatMatch<C = unknown> {
  chat: Chat<C>;
  /** Whose text it is in; `null` if it is the title. */
  messageId: string | null;
  /** Of that message; `null` if it is the title. */
  role: string | null;
  /** The first find as it is written there, and up to 60 characters on either side of it. */
  excerpt: { before: string; match: string; after: string };
}

/** At least one of `title`, `titleIfEmpty`, `archived` and `metadata`; `title` and `titleIfEmpty` exclude each other. */
export interface UpdateChatInput<C = unknown> {
  /** Whose chat. */
  userId: string;
  chatId: string;
  /** At most 1,000 characters. */
  title?: string | undefined;
  /**
   * Set `title` only while the chat has this title, which may be `""`: for one that a model makes in place of another. If the chat has
   * another one, it keeps that, and the rest of the call still takes effect. Only with `title`.
   */
  expectedTitle?: string | undefined;
  /** A title that is set only while the chat has none: for one that a model makes up, while a person may be typing another. */
  titleIfEmpty?: string | undefined;
  /** Whether it shows in the archive instead of the list. */
  archived?: boolean | undefined;
  /** Replaces all of what was there, as `JSON.stringify` writes it; `null` removes it. */
  metadata?: C | null | undefined;
}

export interface DeleteChatInput {
  /** Whose chat. */
  userId: string;
  chatId: string;
}

export interface ForkChatInput {
  /** Whose chat, and whose the new one will be. */
  userId: string;
  /** The chat that is copied. */
  chatId: string;
  /** The id that the new one gets. Nobody may have taken it. */
  newChatId: string;
  /** The last message that is copied. Left out, all are. */
  throughMessageId?: string | undefined;
  /** At most 1,000 characters. Left out, the new chat has the same title. */
  title?: string | undefined;
}

export interface UpdateMessageInput<M extends UIMessage = UIMessage> {
  /** Whose chat. */
  userId: string;
  chatId: string;
  /** The message with its new parts and metadata. Its id and role are the stored one's. */
  message: M;
  /** Change it only if the stored chat still has this version. */
  expectedVersion?: number | undefined;
}

export interface DeleteMessageInput {
  /** Whose chat. */
  userId: string;
  chatId: string;
  messageId: string;
  /** Delete all messages after it, too. Default false. */
  following?: boolean | undefined;
  /** Delete it only if the stored chat still has this version. */
  expectedVersion?: number | undefined;
}

export interface ClaimChatsInput {
  /** Whose chats they are now: a guest's. From your own session, never from a link or a request's body. */
  fromUserId: string;
  /** Whose they become. */
  userId: string;
}

export interface DeleteAllChatsInput {
  /** Whose chats. */
  userId: string;
}

export interface ExportChatsInput {
  /** Whose chats. */
  userId: string;
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
   * Give the model at most this many messages, the question included: the last ones, from the first message of the user on if there is
   * one among them. The chat keeps all of its messages. Left out, the model gets all of them.
   */
  limit?: number | undefined;
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
  /** The version of the chat that the page shows, of `getChat` or its own last turn: tells an answer that it shows from one that is news. */
  version?: number | undefined;
}

export interface StopTurnInput {
  /** Who stops it, from your own session. */
  userId: string;
  chatId: string;
  /**
   * The id of the last message that the page shows: only turns that answer or write this message are asked to stop. One that arrives
   * late also reaches a later turn of the same message, if that was asked again or continued meanwhile. Without it, all turns of the
   * chat that are running are asked.
   */
  messageId?: string | undefined;
}

/** A turn whose question is stored and whose answer is about to be generated. */
export interface Turn<M extends UIMessage = UIMessage, C = unknown> {
  /** The chat as it is stored with the question. */
  chat: Chat<C>;
  /** The conversation up to and including the question, or its end, at most `limit` messages: what the model is to answer. */
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
     * @throws {ChatConflictError} a later change has superseded this turn (reason `superseded`: a newer turn of the same question, an
     * edit of the question, the continuation of its answer, `fail`), or has deleted its chat or its question (`gone`). Nothing was changed.
     */
    onEnd(event: { responseMessage: M }): Promise<void>;
    /** The same function, under the name it has in ai 5 and 6. */
    onFinish(event: { responseMessage: M }): Promise<void>;
  };
  /**
   * For `streamText`. Aborts after `stopTurn`, when a later change has superseded the turn, and when the chat, the question or the
   * answer was deleted: within a second if the turn is recorded, and else never.
   */
  abortSignal: AbortSignal;
  /**
   * For `createUIMessageStreamResponse` (ai 7) or `toUIMessageStreamResponse` (ai 5 and 6). Reads the answer to its end, also
   * when the browser has gone, and records it for `resumeTurn` while it does: four statements a second while the model speaks,
   * one while it is silent. Never rejects; whatever fails here, the answer is saved at its end all the same.
   */
  consumeSseStream(options: { stream: ReadableStream<string> }): Promise<void>;
  /**
   * Ends the turn at once, without an answer: the question stays, pages do not wait, `abortSignal` aborts, and `onEnd` rejects. For a
   * route that throws before the stream has begun. Once the answer is stored it does nothing.
   */
  fail(): Promise<void>;
}

export interface MigrateOptions {
  /** The Postgres schema to put the tables in. Default `"chat_store"`. Created if it does not exist. */
  schema?: string | undefined;
}

import type { UIMessage } from "ai";

/**
 * A chat without its messages.
 *
 * @typeParam C - the type of your application's `metadata` of a chat.
 */
export interface Chat<C = unknown> {
  id: string;
  /** The owner. Changes only when another user claims the chat. */
  userId: string;
  /** `""` until the chat gets a title. */
  title: string;
  /** Starts at 1 and increases by one with each save that changes something. */
  version: number;
  createdAt: Date;
  /** When the last save changed something, by the database's clock, in milliseconds. */
  updatedAt: Date;
  /** When the chat was archived; `null` if it is not. */
  archivedAt: Date | null;
  /** The metadata that `updateChat` was given. Absent if there is none. */
  metadata?: C;
}

/** A chat with all of its messages, in order. */
export interface ChatWithMessages<M extends UIMessage = UIMessage, C = unknown> extends Chat<C> {
  messages: M[];
}

export interface UpsertChatInput<M extends UIMessage = UIMessage> {
  /** The signed-in user: 1 to 255 characters. Owns a new chat, and must own an existing one. */
  userId: string;
  /** 1 to 255 characters, without NUL and unpaired surrogates, which a Postgres text cannot hold. */
  chatId: string;
  /** At most 1,000 characters. Without it, an existing chat keeps its title and a new chat gets `""`. */
  title?: string | undefined;
  /**
   * The whole conversation. Message ids have 1 to 255 characters and are unique within the chat. Of each message, `id`,
   * `role`, `metadata` and `parts` are stored, the last two as `JSON.stringify` writes them.
   */
  messages: readonly M[];
  /**
   * The id of a stored message. Then `messages` replace only those that follow it. Use it if you have loaded only the
   * end of a chat, as with `getMessages`: saved as the whole conversation, it would delete the other messages.
   */
  after?: string | undefined;
  /** Save only if the stored chat has this version, usually the one that `getChat` returned. */
  expectedVersion?: number | undefined;
}

export interface GetChatInput {
  /** The signed-in user. */
  userId: string;
  chatId: string;
}

export interface GetChatsInput {
  /** The signed-in user. */
  userId: string;
  /** `true` lists only archived chats, `false` only the others. Default false. */
  archived?: boolean | undefined;
  /** At most this many chats: a positive integer. Without it, all of them. */
  limit?: number | undefined;
  /** The last chat of the previous page. The next page follows it even if chats were added or moved in the meantime. */
  before?: Pick<Chat, "id" | "updatedAt"> | undefined;
}

/** At least one of `title`, `titleIfEmpty`, `archived` and `metadata`; only one of `title` and `titleIfEmpty`. */
export interface UpdateChatInput<C = unknown> {
  /** The signed-in user. */
  userId: string;
  chatId: string;
  /** At most 1,000 characters. */
  title?: string | undefined;
  /**
   * With `title`: set it only while this is the chat's title, which may be `""`. So a title that a model generates does
   * not overwrite one that the user has typed in the meantime. Other fields of the same call are set in any case.
   */
  expectedTitle?: string | undefined;
  /** A title for a chat that has none: short for `title` with `expectedTitle: ""`. */
  titleIfEmpty?: string | undefined;
  /** Whether the chat is listed among the archived ones. */
  archived?: boolean | undefined;
  /** Replaces the chat's metadata as a whole, as `JSON.stringify` writes it. `null` removes it. */
  metadata?: C | null | undefined;
}

export interface DeleteChatInput {
  /** The signed-in user. */
  userId: string;
  chatId: string;
}

export interface ForkChatInput {
  /** The signed-in user, who owns both chats. */
  userId: string;
  /** The chat to copy. */
  chatId: string;
  /** The id of the copy. No chat may have it yet. */
  newChatId: string;
  /** The last message to copy. Without it, all messages are copied. */
  throughMessageId?: string | undefined;
  /** At most 1,000 characters. Without it, the copy has the same title. */
  title?: string | undefined;
}

export interface SearchChatsInput {
  /** The signed-in user. */
  userId: string;
  /** The text to find, literally, in upper or lower case: 1 to 255 characters. */
  query: string;
  /** At most this many matches: a positive integer. Default 20. */
  limit?: number | undefined;
  /** The cursor of the previous page. Without it, the search begins with the newest activity. */
  cursor?: string | undefined;
}

export interface ChatMatches<C = unknown> {
  /** Newest activity first. Of one chat, its title first, then its newest messages. */
  matches: ChatMatch<C>[];
  /**
   * Pass it back for the next page, also if this page is empty. Opaque, and safe in a URL. `null` when the search has
   * read everything.
   */
  cursor: string | null;
}

/** One title or message that contains the text. */
export interface ChatMatch<C = unknown> {
  chat: Chat<C>;
  /** The message's id; `null` for a title. */
  messageId: string | null;
  /** The message's role; `null` for a title. */
  role: string | null;
  /** The first occurrence as it is written there, with up to 60 characters on either side. */
  excerpt: { before: string; match: string; after: string };
}

export interface ClaimChatsInput {
  /** The present owner, a guest. Take it from your own session, never from a link or a request's body. */
  fromUserId: string;
  /** The new owner: the signed-in user. */
  userId: string;
}

export interface DeleteAllChatsInput {
  /** The user whose chats are deleted. */
  userId: string;
}

export interface ExportChatsInput {
  /** The user whose chats are exported. */
  userId: string;
}

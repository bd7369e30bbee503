import type { UIMessage } from "ai";
import type { BranchPoint } from "./branches.ts";
import type { Chat } from "./chats.ts";

export interface GetMessagesInput {
  /** The signed-in user. */
  userId: string;
  chatId: string;
  /** At most this many messages: a positive integer. */
  limit: number;
  /** The id of the first message of the page that follows. Without it, the last messages are returned. */
  before?: string | undefined;
}

/** Consecutive messages of a chat, in order. */
export interface MessagePage<M extends UIMessage = UIMessage, C = unknown> {
  chat: Chat<C>;
  /** A part of the conversation. To save it with `upsertChat`, pass `after`, too. */
  messages: M[];
  /**
   * `sentAt[i]` is when `messages[i]` was first stored, by the database's clock: a question when its turn started, an
   * answer when it ended. Edits and forks keep it.
   */
  sentAt: Date[];
  /** Whether the chat has messages before these. */
  hasMore: boolean;
  /** As `getBranches` returns them, if the store was created with `branches`. Of the whole conversation. */
  branches?: BranchPoint[];
}

export interface UpdateMessageInput<M extends UIMessage = UIMessage> {
  /** The signed-in user. */
  userId: string;
  chatId: string;
  /** The message with its new parts and metadata. `id` and `role` are those of the stored message. */
  message: M;
  /** Update it only if the stored chat has this version. */
  expectedVersion?: number | undefined;
}

export interface DeleteMessageInput {
  /** The signed-in user. */
  userId: string;
  chatId: string;
  messageId: string;
  /** Delete all later messages, too. Default false. */
  following?: boolean | undefined;
  /** Delete it only if the stored chat has this version. */
  expectedVersion?: number | undefined;
}

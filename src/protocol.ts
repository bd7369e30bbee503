import type { UIMessage } from "ai";
import type { Chat, ChatMatch, MessagePage } from "./types.ts";

/** The header of a stream's response: the version of the chat before the answer in this stream is stored. */
export const versionHeader = "x-chat-version";

/** The status of each error that the handler responds with. */
export const statusOf = {
  bad_request: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  conflict: 409,
  too_large: 413,
  unsupported_media_type: 415,
  failed: 500,
  unavailable: 503,
} as const;

/** What is wrong, in one word: `code` in the body of a response that is an error. */
export type ChatErrorCode = keyof typeof statusOf;

/** The body of a response that is an error. */
export interface ChatErrorBody {
  error: { code: ChatErrorCode; message: string };
}

/** A chat as browsers get it: without the id of its owner. */
export type ClientChat<C = unknown> = Omit<Chat<C>, "userId">;

/** A page of the list of chats. */
export interface ChatList<C = unknown> {
  /** Newest activity first. */
  chats: ClientChat<C>[];
  /** Pass it back for the next page; `null` if this is the last one. Opaque. */
  cursor: string | null;
}

/** A page of matches of a search. */
export interface ChatSearch<C = unknown> {
  matches: (Omit<ChatMatch<C>, "chat"> & { chat: ClientChat<C> })[];
  /** Pass it back for the next page, also if this page is empty; `null` when the search has read everything. Opaque. */
  cursor: string | null;
}

/** A chat with consecutive messages of it. */
export interface ClientChatPage<M extends UIMessage = UIMessage, C = unknown> extends Omit<MessagePage<M, C>, "chat"> {
  chat: ClientChat<C>;
}

/** The body of `POST /`. */
export interface QuestionBody {
  id: string;
  message: unknown;
  trigger?: "submit-message" | "regenerate-message" | undefined;
  messageId?: string | undefined;
}

/** The body of `POST /:id/fork`. */
export interface ForkBody {
  /** The id of the new chat. */
  id: string;
  throughMessageId?: string | undefined;
  title?: string | undefined;
}

/** The body of `PATCH /:id`. */
export interface UpdateBody<C = unknown> {
  title?: string | undefined;
  archived?: boolean | undefined;
  metadata?: C | null | undefined;
}

/** A URL cannot carry these ids: browsers and servers resolve them as folders. */
export const isUnaddressable = (id: unknown): boolean => id === "." || id === "..";

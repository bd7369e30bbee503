import type { Chat } from "@ai-sdk/react";
import type { ChatInit, UIMessage } from "ai";
import type { ChatClient, ChatRequestError, ChatTransportOptions, ClientChat } from "../client.ts";
import type { BranchPoint } from "../types.ts";
import type { Observable } from "./observable.ts";

/**
 * A `ChatRequestError`, or an error without its fields: an answer has failed while it was being generated, or your own code
 * has thrown.
 */
export type StoredChatError = Error & Partial<Pick<ChatRequestError, "code" | "status" | "retryAfter" | "isRetryable">>;

/** The last messages of a chat: from `client.get` in the browser, or from `store.getMessages` on the server. */
export interface StoredChatPage<M extends UIMessage = UIMessage, C = unknown> {
  chat: ClientChat<C>;
  messages: M[];
  sentAt: Date[];
  hasMore: boolean;
  branches?: BranchPoint[];
}

export interface StoredChatOptions<M extends UIMessage, C> extends Omit<ChatInit<M>, "id" | "messages" | "transport"> {
  /** The chat's id. For a new chat one of your own, such as `crypto.randomUUID()`. */
  id: string;
  /** The last messages, if you have loaded them. `null`: the chat is new. Without it, the hook loads them. */
  page?: StoredChatPage<M, C> | null | undefined;
  /** How many messages to load at once. Default 30. Older messages follow the latest render. */
  pageSize?: number | undefined;
  /** What to send beside each message: the handler's option `body` checks it. */
  body?: ChatTransportOptions["body"];
}

/** What a page shows of a chat, beside its messages. */
export interface StoredChatState<C> {
  /** `null` until the chat has its first message. */
  chat: ClientChat<C> | null;
  /**
   * `missing`: the user has no such chat, or it was deleted. `failed`: the first load has failed, and there is nothing to
   * show. A chat that is loaded stays so: if a later load fails, the page keeps its messages.
   */
  loadStatus: "loading" | "loaded" | "missing" | "failed";
  /** Why the latest load has failed: of the chat, of its changes, or of older messages. */
  loadError: StoredChatError | undefined;
  /** Whether the chat has older messages than those on the page. */
  hasMore: boolean;
  isLoadingOlder: boolean;
  /** When the messages were stored first, by their ids. */
  sentAt: ReadonlyMap<string, Date>;
  /** Where the conversation has alternatives. */
  branches: readonly BranchPoint[];
  /** The connection broke while an answer was expected or arriving: the hook joins the answer again by itself. */
  isReconnecting: boolean;
  /** Whether to look for an answer that is being generated: the chat was stored before the page was opened. */
  isResumable: boolean;
}

/** A chat on a page. Knows nothing of React's renders. */
export interface StoredChat<M extends UIMessage, C> {
  readonly id: string;
  readonly client: ChatClient<M, C>;
  /** The SDK's own. */
  readonly chat: Chat<M>;
  readonly state: Observable<StoredChatState<C>>;
  /** Takes the callbacks, and a newer page, of the latest render. */
  setOptions(options: StoredChatOptions<M, C>): void;
  /** Loads the chat, and follows its changes until the returned function is called. */
  connect(): () => void;
  reload(): Promise<void>;
  loadOlder(): Promise<void>;
  stop(): Promise<boolean>;
  switchBranch(branchId: string): Promise<void>;
  addToolOutput: Chat<M>["addToolOutput"];
}

import { type ChatTransport, createIdGenerator, type UIMessage } from "ai";
import { type ChatEvent, createChatEvents, type OwnChange } from "./client/chat-events.ts";
import { type ChatTransportOptions, createChatTransport, type ShownVersion } from "./client/chat-transport.ts";
import { type ChatInJson, type PageInJson, toChat, toPage } from "./client/dates.ts";
import { createOwnChanges } from "./client/own-changes.ts";
import { createReceivedAnswers } from "./client/received-answers.ts";
import { type ChatClientOptions, ifFound, type RequestToChats, sendRequest } from "./client/send-request.ts";
import { stopAnswer } from "./client/stop-answer.ts";
import type { ChatList, ChatSearch, ClientChat, ClientChatPage, ForkBody, UpdateBody } from "./protocol.ts";

export type { ChatEvent } from "./client/chat-events.ts";
export type { ChatTransportOptions, ShownVersion } from "./client/chat-transport.ts";
export { ChatRequestError } from "./client/request-error.ts";
export type { ChatClientOptions } from "./client/send-request.ts";
export type { ChatErrorCode, ChatList, ChatSearch, ClientChat, ClientChatPage, UpdateBody } from "./protocol.ts";

/**
 * The chats of the signed-in user, as the handler of `drizzle-chat-store/handler` serves them.
 *
 * A chat that does not exist, or belongs to another user, is `null` or `false`. Every other failure is a
 * {@link ChatRequestError}.
 */
export interface ChatClient<M extends UIMessage = UIMessage, C = unknown> {
  /**
   * For `useChat`, the SDK's `Chat` of any framework, and `AbstractChat`. Sends the last message alone, and resumes with
   * what the page does not show yet. Leaving the page ends the request, and never the turn: use {@link stop} for that.
   */
  transport(options?: ChatTransportOptions): ChatTransport<M>;

  /** A page of the list of chats, newest activity first. Default: those that are not archived. */
  list(options?: {
    archived?: boolean | undefined;
    limit?: number | undefined;
    /** The cursor of the previous page. */
    cursor?: string | undefined;
    signal?: AbortSignal | undefined;
  }): Promise<ChatList<C>>;

  /** A page of the titles and messages that contain a text. */
  search(
    query: string,
    options?: { limit?: number | undefined; cursor?: string | undefined; signal?: AbortSignal | undefined },
  ): Promise<ChatSearch<C>>;

  /** The chat with its last messages, or with the last before the message `before`. */
  get(
    chatId: string,
    options?: { limit?: number | undefined; before?: string | undefined; signal?: AbortSignal | undefined },
  ): Promise<ClientChatPage<M, C> | null>;

  /** Renames or archives the chat, or replaces its metadata. */
  update(chatId: string, changes: UpdateBody<C>): Promise<ClientChat<C> | null>;

  /** Whether there was such a chat. */
  delete(chatId: string): Promise<boolean>;

  /** Deletes a message; with `following`, also all later ones. */
  deleteMessage(
    chatId: string,
    messageId: string,
    options?: { following?: boolean | undefined },
  ): Promise<ClientChat<C> | null>;

  /** Copies the chat, up to and including a message. `newId`: random by default. */
  fork(
    chatId: string,
    options?: { newId?: string | undefined; throughMessageId?: string | undefined; title?: string | undefined },
  ): Promise<ClientChat<C> | null>;

  /**
   * Makes an alternative the current one: its messages stand at the end of the conversation. The page loads them with
   * {@link get}. `null` also if the conversation has no such alternative by now.
   *
   * @param branchId - of a page's `branches`.
   */
  switchBranch(chatId: string, branchId: string): Promise<ClientChat<C> | null>;

  /**
   * Stops the answer on the server. The stream then ends by itself, with just the messages that are stored. If the server
   * does not respond, the page stops listening, and the promise rejects.
   *
   * @returns whether an answer was being generated.
   */
  stop(chatId: string): Promise<boolean>;

  /**
   * Calls the listener when this client or another tab has changed a chat, and when the page is visible or online again.
   *
   * @returns a function that ends the subscription.
   */
  subscribe(listener: (event: ChatEvent) => void): () => void;
}

/**
 * The client of a chat application, for the browser. Create one for the application: its pages share it.
 *
 * @typeParam M - your application's `UIMessage`, as of the store.
 * @typeParam C - the type of a chat's metadata, as of the store.
 */
export function createChatClient<M extends UIMessage = UIMessage, C = unknown>(
  options: ChatClientOptions = {},
): ChatClient<M, C> {
  const answers = createReceivedAnswers();
  const ownChanges = createOwnChanges();
  const shown = new Map<string, ShownVersion>();
  const events = createChatEvents(`drizzle-chat-store ${options.basePath ?? "/api/chat"}`);
  const send = <Result>(request: RequestToChats) => sendRequest<Result>(options, request);

  /** Sends a change that responds with the chat, and tells of it. */
  async function change(type: OwnChange["type"], chatId: string, request: RequestToChats) {
    const changed = await ifFound(send<ChatInJson<C>>(request), null);
    if (!changed) return null;
    events.publish({ type, chatId });
    return toChat(changed);
  }

  return {
    transport: (given = {}) => createChatTransport<M>({ options, answers, ownChanges, shown, events }, given),

    async list({ signal, ...query } = {}) {
      const { chats, cursor } = await send<{ chats: ChatInJson<C>[]; cursor: string | null }>({ query, signal });
      return { chats: chats.map(toChat), cursor };
    },

    async search(text, { signal, ...query } = {}) {
      type Match = Omit<ChatSearch<C>["matches"][number], "chat"> & { chat: ChatInJson<C> };
      const request = { query: { search: text, ...query }, signal };
      const { matches, cursor } = await send<{ matches: Match[]; cursor: string | null }>(request);
      return { matches: matches.map((match) => ({ ...match, chat: toChat(match.chat) })), cursor };
    },

    async get(chatId, { signal, ...query } = {}) {
      const page = await ifFound(send<PageInJson<M, C>>({ path: [chatId], query, signal }), null);
      return page && toPage(page);
    },

    update: (chatId, changes) => change("updated", chatId, { method: "PATCH", path: [chatId], body: changes }),

    async delete(chatId) {
      const isDeleted = await ifFound(
        send({ method: "DELETE", path: [chatId] }).then(() => true),
        false,
      );
      if (isDeleted) events.publish({ type: "deleted", chatId });
      return isDeleted;
    },

    async deleteMessage(chatId, messageId, query = {}) {
      const request = { method: "DELETE", path: [chatId, "messages", messageId], query } as const;
      const chat = await change("message-deleted", chatId, request);
      if (chat) ownChanges.add(chatId, chat.version);
      return chat;
    },

    fork(chatId, { newId = createIdGenerator({ size: 32 })(), ...others } = {}) {
      const body: ForkBody = { id: newId, ...others };
      return change("forked", chatId, { method: "POST", path: [chatId, "fork"], body });
    },

    switchBranch: (chatId, branchId) =>
      change("branch-switched", chatId, { method: "POST", path: [chatId, "branches", branchId] }),

    stop: (chatId) =>
      stopAnswer(chatId, {
        answers,
        ask: async (message, signal) => {
          const request = { method: "DELETE", path: [chatId, "stream"], query: { message }, signal } as const;
          return (await send<{ stopped: boolean }>(request)).stopped;
        },
      }),

    subscribe: events.subscribe,
  };
}

import { type UseChatHelpers, useChat } from "@ai-sdk/react";
import type { UIMessage } from "ai";
import { useEffect, useState, useSyncExternalStore } from "react";
import type { ChatClient } from "../client.ts";
import { branchOf, type MessageBranch } from "./branch-of.ts";
import { createStoredChat } from "./stored-chat.ts";
import type { StoredChatError, StoredChatOptions, StoredChatState } from "./types.ts";

export interface UseStoredChatOptions<M extends UIMessage = UIMessage, C = unknown> extends StoredChatOptions<M, C> {
  /** Milliseconds between two renders while an answer arrives. Default: each chunk renders. */
  throttle?: number | undefined;
}

export type UseStoredChatResult<M extends UIMessage = UIMessage, C = unknown> = Omit<
  UseChatHelpers<M>,
  "error" | "stop"
> &
  Omit<StoredChatState<C>, "sentAt" | "branches" | "isResumable"> & {
    /** Why the latest question has no answer, or only a part of one. The hook joins a lost answer again by itself. */
    error: StoredChatError | undefined;
    /**
     * Stops the answer on the server. The stream then ends by itself, with just the messages that are stored.
     *
     * @returns whether an answer was being generated.
     * @throws {ChatRequestError} the server did not respond. The page stops listening.
     */
    stop: () => Promise<boolean>;
    /** Loads the chat again. Never rejects: see `loadStatus` and `loadError`. */
    reload: () => Promise<void>;
    /** Puts older messages in front of those on the page. Never rejects: see `loadError`. */
    loadOlder: () => Promise<void>;
    /** When the message was stored first. Undefined for a message that is not stored yet. */
    sentAtOf: (messageId: string) => Date | undefined;
    /** The alternatives of the message, if the store keeps branches. */
    branchOf: (messageId: string) => MessageBranch;
  };

/**
 * The SDK's `useChat` for a chat that is stored: loads it, resumes its answer, joins the answer again after the connection
 * broke, shows what other tabs and devices have changed, loads older messages, and stops on the server.
 *
 * @param client - of `createChatClient`. Create one for the application.
 */
export function useStoredChat<M extends UIMessage = UIMessage, C = unknown>(
  client: ChatClient<M, C>,
  { throttle, ...options }: UseStoredChatOptions<M, C>,
): UseStoredChatResult<M, C> {
  const [kept, keep] = useState(() => createStoredChat(client, options));
  let storedChat = kept;
  if (kept.id !== options.id || kept.client !== client) {
    storedChat = createStoredChat(client, options);
    keep(storedChat);
  }
  const { chat, state, connect, stop, reload, loadOlder, switchBranch, addToolOutput } = storedChat;
  // In this order: before useChat resumes.
  useEffect(() => storedChat.setOptions(options));
  useEffect(connect, [connect]);
  const { sentAt, branches, isResumable, ...shown } = useSyncExternalStore(state.subscribe, state.get, state.get);
  const helpers = useChat<M>({
    chat,
    resume: isResumable,
    // Before version 4 of @ai-sdk/react it has this name.
    ...(throttle !== undefined && { throttle, experimental_throttle: throttle }),
  });
  return {
    ...helpers,
    ...shown,
    stop,
    reload,
    loadOlder,
    addToolOutput,
    addToolResult: addToolOutput,
    sentAtOf: (messageId) => sentAt.get(messageId),
    branchOf: (messageId) =>
      branchOf(messageId, { messages: helpers.messages, hasMore: shown.hasMore, branches }, switchBranch),
  };
}

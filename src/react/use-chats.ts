import type { UIMessage } from "ai";
import { useEffect, useState, useSyncExternalStore } from "react";
import type { ChatClient } from "../client.ts";
import { type ChatListOnPage, type ChatListOptions, type ChatListState, createChatList } from "./chat-list.ts";

export interface UseChatsOptions<C = unknown> extends ChatListOptions<C> {}

export type UseChatsResult<M extends UIMessage = UIMessage, C = unknown> = ChatListState<C> &
  Pick<ChatListOnPage<C>, "refetch" | "loadMore" | "update" | "remove"> & {
    fork: ChatClient<M, C>["fork"];
  };

/**
 * The list of chats: in pages, and up to date with other tabs, with turns, and when the page is visible or online again.
 *
 * `update` and `remove` show at once, and are taken back if they fail: then they reject, with a `ChatRequestError`. `refetch`
 * and `loadMore` never reject: see `loadError`.
 *
 * @param client - of `createChatClient`. Create one for the application.
 */
export function useChats<M extends UIMessage = UIMessage, C = unknown>(
  client: ChatClient<M, C>,
  options: UseChatsOptions<C> = {},
): UseChatsResult<M, C> {
  const archived = options.archived ?? false;
  const open = () => ({ client, archived, list: createChatList(client, options) });
  const [kept, keep] = useState(open);
  let current = kept;
  if (kept.client !== client || kept.archived !== archived) {
    current = open();
    keep(current);
  }
  const { state, connect, refetch, loadMore, update, remove } = current.list;
  useEffect(connect, [connect]);
  const shown = useSyncExternalStore(state.subscribe, state.get, state.get);
  return { ...shown, refetch, loadMore, update, remove, fork: client.fork };
}

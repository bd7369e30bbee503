export type { MessageBranch } from "./react/branch-of.ts";
export { isUnfinished } from "./react/is-unfinished.ts";
export type { StoredChatError, StoredChatPage } from "./react/types.ts";
export { type UseChatsOptions, type UseChatsResult, useChats } from "./react/use-chats.ts";
export { type UseStoredChatOptions, type UseStoredChatResult, useStoredChat } from "./react/use-stored-chat.ts";

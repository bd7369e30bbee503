import type { UIMessage } from "ai";
import type { ClientChat, ClientChatPage } from "../protocol.ts";

/** JSON has no dates: they arrive as texts. */
export type ChatInJson<C> = Omit<ClientChat<C>, "createdAt" | "updatedAt" | "archivedAt"> & {
  createdAt: string;
  updatedAt: string;
  archivedAt: string | null;
};

export type PageInJson<M extends UIMessage, C> = Omit<ClientChatPage<M, C>, "chat" | "sentAt"> & {
  chat: ChatInJson<C>;
  sentAt: string[];
};

export function toChat<C>(chat: ChatInJson<C>): ClientChat<C> {
  const { createdAt, updatedAt, archivedAt } = chat;
  return {
    ...chat,
    createdAt: new Date(createdAt),
    updatedAt: new Date(updatedAt),
    archivedAt: archivedAt === null ? null : new Date(archivedAt),
  } as ClientChat<C>;
}

export function toPage<M extends UIMessage, C>(page: PageInJson<M, C>): ClientChatPage<M, C> {
  return { ...page, chat: toChat(page.chat), sentAt: page.sentAt.map((text) => new Date(text)) };
}

import type { UIMessage } from "ai";
import type { ClientChat, ClientChatPage } from "../protocol.ts";
import type { Branch, BranchPoint } from "../types.ts";

/** JSON has no dates: they arrive as texts. */
export type ChatInJson<C> = Omit<ClientChat<C>, "createdAt" | "updatedAt" | "archivedAt"> & {
  createdAt: string;
  updatedAt: string;
  archivedAt: string | null;
};

export type PageInJson<M extends UIMessage, C> = Omit<ClientChatPage<M, C>, "chat" | "sentAt" | "branches"> & {
  chat: ChatInJson<C>;
  sentAt: string[];
  branches: PointInJson[];
};

type PointInJson = Omit<BranchPoint, "branches"> & {
  branches: (Omit<Branch, "createdAt"> & { createdAt: string })[];
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
  return {
    ...page,
    chat: toChat(page.chat),
    sentAt: page.sentAt.map((text) => new Date(text)),
    branches: page.branches.map(toPoint),
  };
}

const toPoint = (point: PointInJson): BranchPoint => ({
  ...point,
  branches: point.branches.map((branch) => ({ ...branch, createdAt: new Date(branch.createdAt) })),
});

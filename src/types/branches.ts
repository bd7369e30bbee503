import type { UIMessage } from "ai";
import type { ChatWithMessages } from "./chats.ts";

/** A point at which a conversation has alternatives. */
export interface BranchPoint {
  /** The last message that the alternatives have in common; `null` at the beginning of the chat. */
  afterMessageId: string | null;
  /** The number of the alternative that is current. Alternatives are numbered in the order in which they were made. */
  position: number;
  /** How many alternatives there are, with the current one. */
  count: number;
  /** The others, by their numbers. */
  branches: Branch[];
}

/** An alternative that is not current: the messages that stood behind the message of its point. */
export interface Branch {
  /** For `switchBranch`. An alternative gets a new id each time it stops being current. */
  id: string;
  /** Keeps its number, as long as the message of its point is there. */
  position: number;
  /** When it stopped being current. */
  createdAt: Date;
  /** 0 if the messages were deleted while they were current: the alternative keeps its number. */
  messageCount: number;
}

export interface GetBranchesInput {
  /** The signed-in user. */
  userId: string;
  chatId: string;
}

export interface SwitchBranchInput {
  /** The signed-in user. */
  userId: string;
  chatId: string;
  /** The id of a branch, as `getBranches` returns it. */
  branchId: string;
  /** Switch only if the stored chat has this version. */
  expectedVersion?: number | undefined;
}

/** A chat with everything that belongs to it. */
export interface ExportedChat<M extends UIMessage = UIMessage, C = unknown> extends ChatWithMessages<M, C> {
  /** All alternatives that are not current. Absent if there are none. */
  branches?: ExportedBranch<M>[];
}

export interface ExportedBranch<M extends UIMessage = UIMessage> extends Branch {
  /** The message after which it stood; `null` at the beginning of the chat. */
  afterMessageId: string | null;
  /** The branch that has that message; `null` if the conversation has it. */
  parentId: string | null;
  messages: M[];
}

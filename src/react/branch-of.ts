import type { UIMessage } from "ai";
import type { BranchPoint } from "../types.ts";

/** The alternatives of a message: answers that were generated again, or questions that were edited. */
export interface MessageBranch {
  /** Which of them the page shows: 1 to `count`. */
  position: number;
  /** 1 if there are no others. */
  count: number;
  /** Shows the one before, if there is one. Never rejects: see `loadError`. */
  previous(): Promise<void>;
  /** Shows the one after, if there is one. Never rejects: see `loadError`. */
  next(): Promise<void>;
}

interface Shown {
  messages: readonly Pick<UIMessage, "id">[];
  /** Whether the chat has messages before these. */
  hasMore: boolean;
  branches: readonly BranchPoint[];
}

/** The alternatives at the place of a message. `switchTo`: shows the branch with this id. */
export function branchOf(
  messageId: string,
  { messages, hasMore, branches }: Shown,
  switchTo: (branchId: string) => Promise<void>,
): MessageBranch {
  const index = messages.findIndex(({ id }) => id === messageId);
  // Undefined before the first message of a page: the message there is not known.
  const idBefore = index === 0 && !hasMore ? null : messages[index - 1]?.id;
  const point = branches.find(({ afterMessageId }) => afterMessageId === idBefore);
  // Of a version whose messages the user has deleted, only the number is left.
  const others = (point?.branches ?? []).filter(({ messageCount }) => messageCount > 0);
  const countBefore = others.filter(({ position }) => position < (point?.position ?? 1)).length;
  const show = async (branch: (typeof others)[number] | undefined) => branch && (await switchTo(branch.id));
  return {
    position: countBefore + 1,
    count: others.length + 1,
    previous: () => show(others[countBefore - 1]),
    next: () => show(others[countBefore]),
  };
}

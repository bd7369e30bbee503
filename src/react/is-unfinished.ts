import type { UIMessage } from "ai";

/**
 * Whether the answer is not complete, because the user has stopped it or its server has died, or because it is still being
 * generated. An answer that was stopped between two of its parts cannot be told from a complete one.
 */
export const isUnfinished = ({ role, parts }: UIMessage): boolean =>
  role === "assistant" &&
  parts.some((part) => "state" in part && (part.state === "streaming" || part.state === "input-streaming"));

import type { Chat } from "@ai-sdk/react";
import type { UIMessage } from "ai";

type ToolOutput<M extends UIMessage> = Parameters<Chat<M>["addToolOutput"]>[0];

/**
 * The tool calls of the answer on the page. An answer that is joined again arrives from its beginning, with calls that the
 * page has run before: each runs once, and its output is put in again.
 */
export interface ToolCalls<M extends UIMessage> {
  /** Whether the page has not run this call yet. */
  isNew(toolCallId: string): boolean;
  add(output: ToolOutput<M>): void;
  /** What the page has answered. Undefined if its tool is still running. */
  outputOf(toolCallId: string): ToolOutput<M> | undefined;
  /** A new question, or an answer that is asked for again: ids of calls may come again, too. */
  clear(): void;
}

export function createToolCalls<M extends UIMessage>(): ToolCalls<M> {
  const known = new Set<string>();
  const outputs = new Map<string, ToolOutput<M>>();
  return {
    isNew(toolCallId) {
      if (known.has(toolCallId)) return false;
      known.add(toolCallId);
      return true;
    },
    add: (output) => void outputs.set(output.toolCallId, output),
    outputOf: (toolCallId) => outputs.get(toolCallId),
    clear() {
      known.clear();
      outputs.clear();
    },
  };
}

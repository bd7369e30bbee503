import type { ChatTransport, UIMessage } from "ai";
import { isAhead } from "./merge-messages.ts";

/** A message whose request has not reached the server, as far as the page knows. */
export interface Unsent<M extends UIMessage> {
  kind: "new question" | "edited question" | "same question" | "tool answers";
  message: M;
}

export function toUnsent<M extends UIMessage>(
  request: Parameters<ChatTransport<M>["sendMessages"]>[0],
): Unsent<M> | undefined {
  const { trigger, messageId, messages } = request;
  const message = messages.find(({ id }) => id === messageId) ?? messages.at(-1);
  if (message?.role === "assistant") return { kind: "tool answers", message };
  if (trigger === "regenerate-message") return message && { kind: "same question", message };
  return message && { kind: messageId === undefined ? "new question" : "edited question", message };
}

/** Whether it has reached the server, although its request has failed. */
export function isStored<M extends UIMessage>(unsent: Unsent<M> | undefined, stored: M[]): boolean {
  const found = stored.find(({ id }) => id === unsent?.message.id);
  if (!unsent || !found) return false;
  const { kind, message } = unsent;
  if (kind === "edited question") return JSON.stringify(message.parts) === JSON.stringify(found.parts);
  return kind !== "tool answers" || !isAhead(message, found);
}

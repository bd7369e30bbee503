import type { UIMessage } from "ai";

interface StoredMessages<M extends UIMessage> {
  /** The last messages of the chat. */
  messages: M[];
  /** Whether the chat has older ones. */
  hasMore: boolean;
}

interface MergeOptions<M extends UIMessage> {
  /** The question that did not reach the server. */
  unsent?: M | undefined;
  /** Whether the page has shown no stored messages yet, only its own question. */
  isFirst?: boolean | undefined;
}

/**
 * The messages that a page shows, made equal to the stored ones. Keeps the older messages that the page has loaded, the
 * answers that the user has given to tools and that are not sent yet, and the question that did not reach the server.
 *
 * @param shown - the messages on the page.
 */
export function mergeMessages<M extends UIMessage>(
  shown: M[],
  { messages: stored, hasMore }: StoredMessages<M>,
  { unsent, isFirst = false }: MergeOptions<M>,
): M[] {
  const shownById = new Map(shown.map((message) => [message.id, message]));
  // Without older ones in the chat, they were deleted.
  const older = hasMore ? shown.slice(0, Math.max(0, indexOf(shown, stored[0]?.id))) : [];
  // Messages that the user has not asked for would move what they read.
  const firstOnPage = isFirst
    ? 0
    : Math.max(
        0,
        stored.findIndex(({ id }) => shownById.has(id)),
      );
  const newer = stored.slice(firstOnPage).map((message) => {
    const onPage = shownById.get(message.id);
    // The same object if possible: React need not render it again.
    return onPage && (isSame(onPage, message) || isAhead(onPage, message)) ? onPage : message;
  });
  if (!unsent || !shownById.has(unsent.id)) return [...older, ...newer];
  // After an edit, the page hides the messages that follow.
  const edited = indexOf(newer, unsent.id);
  return [...older, ...(edited === -1 ? newer : newer.slice(0, edited)), unsent];
}

const waiting = ["input-available", "approval-requested"];
const answered = ["output-available", "output-error", "approval-responded"];

/** Whether the page has answered a tool call that waits for it in the stored message. */
export function isAhead(shown: UIMessage, stored: UIMessage): boolean {
  const states = new Map(shown.parts.map((part) => ["toolCallId" in part && part.toolCallId, stateOf(part)]));
  return stored.parts.some(
    (part) =>
      "toolCallId" in part && waiting.includes(stateOf(part)) && answered.includes(states.get(part.toolCallId) ?? ""),
  );
}

const isSame = (one: UIMessage, other: UIMessage): boolean => JSON.stringify(one) === JSON.stringify(other);

const stateOf = (part: object) => ("state" in part ? String(part.state) : "");

const indexOf = (messages: UIMessage[], id: string | undefined) => messages.findIndex((message) => message.id === id);

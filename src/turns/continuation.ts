import { type MessageRow, withParts } from "../conversation/messages.ts";
import { InvalidChatError } from "../errors.ts";

/** A message part of any kind, as far as it matters here. */
type Part = Record<string, unknown>;

/**
 * The stored assistant message with what the browser may add: answers to pending tool calls, which are an
 * approval that was asked for and the output of a tool that runs in the browser. All else stays as it is stored.
 *
 * Answers that arrive a second time find more steps stored than the browser knew. Those are cut: they will be said again.
 */
export function answerPendingTools(stored: MessageRow, sent: MessageRow): MessageRow {
  const storedParts: Part[] = JSON.parse(stored.parts);
  const sentParts: unknown[] = JSON.parse(sent.parts);
  const parts = sentParts.map((sentPart, index) => {
    const part = storedParts[index];
    if (!part || !isRecord(sentPart) || !isSamePart(part, sentPart)) {
      throw refusal(
        index,
        "is not what is stored; expected the stored parts, of which only pending tool calls may be answered",
      );
    }
    return answer(part, sentPart, index);
  });

  const next = storedParts[parts.length];
  if (next && (next.type !== "step-start" || parts.at(-1)?.toolCallId === undefined)) {
    throw refusal(
      parts.length,
      "is missing; expected all parts of the stored message, or all up to the end of a step that called tools",
    );
  }
  return withParts(stored, parts);
}

function answer(part: Part, sent: Part, index: number): Part {
  // Spread keeps an own key "__proto__" as the data it is, where assigning would not.
  if (part.state === "approval-requested" && sent.state === "approval-responded") {
    const [requested, { id, approved, reason }] = [part.approval, isRecord(sent.approval) ? sent.approval : {}];
    if (!isRecord(requested) || id !== requested.id || typeof approved !== "boolean") {
      throw refusal(
        index,
        "does not answer the approval that was requested; expected its id, and approved as true or false",
      );
    }
    return {
      ...part,
      state: sent.state,
      approval: { ...requested, approved, ...(typeof reason === "string" ? { reason } : {}) },
    };
  }
  if (part.state === "input-available" && sent.state === "output-available") {
    return { ...part, state: sent.state, output: sent.output };
  }
  if (part.state === "input-available" && sent.state === "output-error") {
    if (typeof sent.errorText !== "string") {
      throw refusal(index, "does not say what went wrong; expected errorText, a string");
    }
    return { ...part, state: sent.state, errorText: sent.errorText };
  }
  return part;
}

const isSamePart = (part: Part, sent: Part) =>
  part.type === sent.type && part.toolCallId === sent.toolCallId && (part.type !== "text" || part.text === sent.text);

const isRecord = (value: unknown): value is Part => typeof value === "object" && value !== null;

const refusal = (index: number, message: string) =>
  new InvalidChatError([{ path: ["message", "parts", index], message }]);

import type { UIMessage } from "ai";
import { toSseEvent } from "../../src/turns/sse-events.ts";
import { actedOn, approved, closed, denied, line, requested, type Said, type Seen } from "./expected-conversation.ts";

type Part = UIMessage["parts"][number];
type Call = { state: string; approval: { id: string; approved?: boolean } };

const stateOf = ({ state, approval }: Call) =>
  ({
    "approval-requested": requested,
    "approval-responded": approval.approved ? approved : denied,
    "output-available": actedOn,
    "output-error": closed,
    "output-denied": closed,
  })[state] ?? state;

/** What a person sees of a stored message. */
export function seen({ id, role, parts, metadata }: UIMessage): Seen {
  const says = parts.map((part) => {
    if (part.type === "text") return part.text;
    return part.type === "step-start" ? line : stateOf(part as unknown as Call);
  });
  const { rating } = (metadata ?? {}) as { rating?: number };
  return { id, role: role as Seen["role"], says, ...(rating !== undefined && { rating }) };
}

/** The parts of an answer that is new. */
const partsOf = (id: string, says: readonly string[]): Part[] =>
  says.map((part) => {
    if (part === line) return { type: "step-start" };
    if (part !== requested) return { type: "text", text: part };
    return { type: "tool-remove", toolCallId: id, state: "approval-requested", input: {}, approval: { id } } as Part;
  });

export const messageOf = ({ id, role, says, rating }: Seen): UIMessage => ({
  id,
  role,
  parts: partsOf(id, says),
  ...(rating !== undefined && { metadata: { rating } }),
});

const isCall = (part: Part) => part.type === "tool-remove";
const withCall = (parts: readonly Part[], change: (call: Call) => object): Part[] =>
  parts.map((part) => (isCall(part) ? ({ ...part, ...change(part as unknown as Call) } as Part) : part));

/** As the SDK continues a message: its tool goes on where it stands, and new parts come at the end. */
export function continuationOf(base: UIMessage, { says, acted }: Said): UIMessage {
  const act = ({ state, approval }: Call) =>
    state !== "approval-responded" ? {} : approval.approved ? output : { state: "output-denied" };
  const parts = acted ? withCall(base.parts, act) : base.parts;
  return { ...base, parts: [...parts, ...partsOf(base.id, says)] };
}
const output = { state: "output-available", output: "done" };

/** What a browser sends that has seen a message up to its tool, which asks for an approval. */
export function responseTo(message: UIMessage, isApproved: boolean): UIMessage {
  const respond = ({ approval: { id } }: Call) => ({
    state: "approval-responded",
    approval: { id, approved: isApproved },
  });
  const parts = message.parts.slice(0, message.parts.findIndex(isCall) + 1);
  return { ...message, parts: withCall(parts, respond) };
}

export type Edit = "other words" | "more words" | "fewer words" | "a rating";
/** A message as the application edits it. */
export function edited(message: UIMessage, how: Edit, word: number): UIMessage {
  const { parts } = message;
  const first = parts.findIndex(({ type }) => type === "text");
  const text: Part = { type: "text", text: `word ${word}` };
  switch (how) {
    case "a rating":
      return { ...message, metadata: { rating: word } };
    case "more words":
      return { ...message, parts: [text, ...parts] };
    case "fewer words":
      return { ...message, parts: parts.some(isCall) ? parts.filter((_, index) => index !== first) : parts };
    case "other words":
      return { ...message, parts: first === -1 ? parts : parts.with(first, text) };
  }
}

/** The stream of a turn whose process dies when it has said this. */
export function streamOf(messageId: string, said: Said, wasApproved: boolean): ReadableStream<string> {
  const toolCallId = messageId;
  const acted = wasApproved
    ? { type: "tool-output-available", toolCallId, output: "done" }
    : { type: "tool-output-denied", toolCallId };
  const chunks = said.says.flatMap((part): object[] => {
    if (part === line) return [{ type: "start-step" }];
    if (part !== requested) {
      return [
        { type: "text-start", id: "1" },
        { type: "text-delta", id: "1", delta: part },
      ];
    }
    return [
      { type: "tool-input-available", toolCallId, toolName: "remove", input: {} },
      { type: "tool-approval-request", toolCallId, approvalId: toolCallId },
    ];
  });
  const start = { type: "start", messageId };
  // In one piece, which is recorded at once.
  return ReadableStream.from([[start, ...(said.acted ? [acted] : []), ...chunks].map(toSseEvent).join("")]);
}

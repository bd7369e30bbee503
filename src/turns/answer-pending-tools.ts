import { type MessageRow, withParts } from "../conversation/message-row.ts";
import { hasOutput, isRecord, isToolCall, type Part, partsOf, toolNameOf } from "../conversation/parts.ts";
import { InvalidChatError } from "../errors/errors.ts";

/** Another turn has acted on the answers to these tool calls, or is about to. */
export type ActedOn = "acted on";

/**
 * Adds to the stored assistant message what the client may add: answers to pending tool calls, which are responses to
 * requested approvals and outputs of tools that run in the browser. Everything else stays as stored, also parts that
 * the client has not received yet.
 *
 * Each approval is acted on once. A request that brings a new answer goes on; one without a new answer goes on only if
 * the turn before it ended or died without acting on the answers.
 */
export function answerPendingTools(
  stored: MessageRow,
  sent: MessageRow,
  { clientTools, isRunning }: { clientTools: ReadonlySet<string>; isRunning: boolean },
): MessageRow | ActedOn {
  const storedParts = partsOf(stored);
  const sentParts: unknown[] = JSON.parse(sent.parts);
  let hasNewAnswers = false;
  let isActedOn = false;
  const parts = storedParts.map((part, index) => {
    if (index >= sentParts.length) {
      isActedOn ||= part.type !== "step-start";
      return part;
    }
    const sentPart = sentParts[index];
    if (!isRecord(sentPart) || !isSamePart(part, sentPart)) {
      throw refusal(
        index,
        "differs from the stored part; expected the stored parts, with answers to pending tool calls",
      );
    }
    const answered = answerCall(part, sentPart, index, clientTools);
    if (answered !== part && isPending(part)) hasNewAnswers = true;
    if (sentPart.state === "approval-responded" && hasOutput(part)) isActedOn = true;
    return answered;
  });
  checkLength(storedParts, sentParts.length);
  // After its tools, the model has written more.
  if (!isToolCall(parts.findLast(({ type }) => type !== "step-start"))) isActedOn = true;

  const isActing = isRunning && storedParts.some(({ state }) => state === "approval-responded");
  if (isActing || (!hasNewAnswers && (isRunning || isActedOn))) return "acted on";
  return parts.every((part, index) => part === storedParts[index]) ? stored : withParts(stored, parts);
}

/** The client may have left before the end of the stream, but only a finished step can be answered. */
function checkLength(storedParts: readonly Part[], length: number): void {
  if (length > storedParts.length) {
    throw refusal(storedParts.length, "is not a part of the stored message; expected the stored parts and no others");
  }
  const [last, next] = [storedParts[length - 1], storedParts[length]];
  if (next && (next.type !== "step-start" || !isToolCall(last))) {
    throw refusal(
      length,
      "is missing; expected all parts of the stored message, or all up to the end of a step that called tools",
    );
  }
}

function answerCall(part: Part, sent: Part, index: number, clientTools: ReadonlySet<string>): Part {
  const hasApproval = part.state === "approval-requested" || part.state === "approval-responded";
  if (hasApproval && sent.state === "approval-responded") return respondToApproval(part, sent, index);
  const hasOutputToAdd = sent.state === "output-available" || sent.state === "output-error";
  if (part.state !== "input-available" || !hasOutputToAdd) return part;

  if (part.providerExecuted === true || !clientTools.has(String(toolNameOf(part)))) {
    throw refusal(
      index,
      "gives the output of a tool that runs on the server; expected that of a tool without execute, named in " +
        "startTurn's tools",
    );
  }
  // Spread keeps an own key "__proto__" as the data it is; an assignment would not.
  if (sent.state === "output-available") return { ...part, state: sent.state, output: sent.output };
  if (typeof sent.errorText !== "string") {
    throw refusal(index, "has no errorText that is a string; expected one that says what went wrong");
  }
  return { ...part, state: sent.state, errorText: sent.errorText };
}

function respondToApproval(part: Part, sent: Part, index: number): Part {
  const requested = part.approval;
  const { id, approved, reason } = isRecord(sent.approval) ? sent.approval : {};
  if (!isRecord(requested) || id !== requested.id || typeof approved !== "boolean") {
    throw refusal(
      index,
      "does not answer the requested approval; expected the id of that approval, and approved as true or false",
    );
  }
  if (part.state === sent.state && approved === requested.approved) return part;
  return {
    ...part,
    state: sent.state,
    approval: { ...requested, approved, ...(typeof reason === "string" ? { reason } : {}) },
  };
}

const isPending = ({ state }: Part) => state === "input-available" || state === "approval-requested";

const isSamePart = (part: Part, sent: Part) =>
  part.type === sent.type &&
  part.toolCallId === sent.toolCallId &&
  (part.type !== "text" || part.text === sent.text || isBeginning(sent.text, part.text));

/**
 * The client may hold only the beginning of a text, because it left before the end. Compares only strings: to convert
 * nested arrays to text takes time that grows with their number times their length.
 */
const isBeginning = (beginning: unknown, text: unknown) =>
  typeof beginning === "string" && typeof text === "string" && text.startsWith(beginning);

const refusal = (index: number, message: string) =>
  new InvalidChatError([{ path: ["message", "parts", index], message }]);

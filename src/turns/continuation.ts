import { type MessageRow, withParts } from "../conversation/message-row.ts";
import { InvalidChatError } from "../errors/errors.ts";
import { hasOutput, isRecord, isToolCall, type Part, partsOf, toolNameOf } from "./parts.ts";

/**
 * The stored assistant message with what the browser may add: answers to pending tool calls, which are an approval that was
 * asked for and the output of a tool that runs in the browser. All else stays as it is stored, also what the browser has not
 * seen yet.
 *
 * Approvals happen once: the turn that is given an answer goes on. One that brings no new answer goes on only if the turn
 * before it has ended without acting on the answers, or has died.
 *
 * @returns undefined if somebody else has acted on these answers, or is about to.
 */
export function answerPendingTools(
  stored: MessageRow,
  sent: MessageRow,
  { clientTools, isRunning }: { clientTools: ReadonlySet<string>; isRunning: boolean },
): MessageRow | undefined {
  const storedParts = partsOf(stored);
  const sentParts: unknown[] = JSON.parse(sent.parts);
  let answers = 0;
  let isActedOn = false;
  const parts = storedParts.map((part, index) => {
    const sentPart = sentParts[index];
    if (sentPart === undefined) {
      isActedOn ||= part.type !== "step-start";
      return part;
    }
    if (!isRecord(sentPart) || !isSamePart(part, sentPart)) {
      throw refusal(
        index,
        "is not what is stored; expected the stored parts, of which only pending tool calls may be answered",
      );
    }
    const answered = answer(part, sentPart, index, clientTools);
    if (answered !== part && isPending(part)) answers += 1;
    // Somebody has gone on from what is asked for here.
    if (sentPart.state === "approval-responded" && hasOutput(part)) isActedOn = true;
    return answered;
  });
  if (sentParts.length > storedParts.length) {
    throw refusal(storedParts.length, "is not stored; expected the stored parts and no others");
  }
  const [last, next] = [storedParts[sentParts.length - 1], storedParts[sentParts.length]];
  if (next && (next.type !== "step-start" || !isToolCall(last))) {
    throw refusal(
      sentParts.length,
      "is missing; expected all parts of the stored message, or all up to the end of a step that called tools",
    );
  }
  if (!isToolCall(parts.findLast(({ type }) => type !== "step-start"))) isActedOn = true;

  const isUnderWay = isRunning && storedParts.some(({ state }) => state === "approval-responded");
  if (isUnderWay || (answers === 0 && (isRunning || isActedOn))) return undefined;
  return parts.every((part, index) => part === storedParts[index]) ? stored : withParts(stored, parts);
}

/**
 * A message in which no approval is left that was given and not acted on, and no tool in progress, because its turn was stopped or has
 * died. From ai 6 on, the model cannot be asked anything while there is such an approval ("Tool result is missing").
 */
export const closeApprovals = <Row extends MessageRow>(row: Row): Row | MessageRow =>
  closeCalls(row, isAnsweredApproval);

/** What the model is told of a message that another turn is continuing with approved tools. The stored message stays as it is. */
export const withRunningTools = <Row extends MessageRow>(row: Row): Row | MessageRow =>
  closeCalls(row, isAnsweredApproval, "This tool may still be running. Its result is not known yet.");

const isAnsweredApproval = ({ state }: Part) => state === "approval-responded";

/** A message of which a turn has died in the middle, without calls that it had begun itself, after `before`. */
export function closeCallsSince(before: MessageRow | undefined, row: MessageRow): MessageRow {
  const others = before ? partsOf(before) : [];
  const earlier = new Set(others.map(({ toolCallId }) => toolCallId));
  return closeCalls(row, ({ state, toolCallId }) => state === "input-available" && !earlier.has(toolCallId));
}

const stopped = "The server stopped while this tool was running. Whether it took effect is not known.";

/** Closes the calls that are `open`, and those of tools that have reported their progress and nothing since. */
function closeCalls<Row extends MessageRow>(
  row: Row,
  isOpen: (call: Part) => boolean,
  errorText = stopped,
): Row | MessageRow {
  if (row.role !== "assistant" || !/"(approval-responded|input-available|preliminary)"/.test(row.parts)) return row;
  const parts = partsOf(row);
  const closed = parts.map((part) => {
    if (!isToolCall(part) || !(isInProgress(part) || isOpen(part))) return part;
    const { output: _, preliminary: __, ...call } = part;
    const isDenied = isRecord(part.approval) && part.approval.approved === false;
    if (isDenied) return { ...call, state: "output-denied" };
    return { ...call, state: "output-error", errorText };
  });
  return closed.every((part, index) => part === parts[index]) ? row : withParts(row, closed);
}

/** Its output so far is no result: the SDK tells the model nothing of it. */
const isInProgress = ({ state, preliminary }: Part) => state === "output-available" && preliminary === true;

function answer(part: Part, sent: Part, index: number, clientTools: ReadonlySet<string>): Part {
  // Spread keeps an own key "__proto__" as the data it is, where assigning would not.
  const isApproval = part.state === "approval-requested" || part.state === "approval-responded";
  if (isApproval && sent.state === "approval-responded") {
    const [requested, { id, approved, reason }] = [part.approval, isRecord(sent.approval) ? sent.approval : {}];
    if (!isRecord(requested) || id !== requested.id || typeof approved !== "boolean") {
      throw refusal(
        index,
        "does not answer the approval that was requested; expected its id, and approved as true or false",
      );
    }
    if (part.state === sent.state && approved === requested.approved) return part;
    return {
      ...part,
      state: sent.state,
      approval: { ...requested, approved, ...(typeof reason === "string" ? { reason } : {}) },
    };
  }
  if (part.state !== "input-available" || (sent.state !== "output-available" && sent.state !== "output-error")) {
    return part;
  }
  if (part.providerExecuted === true || !clientTools.has(String(toolNameOf(part)))) {
    throw refusal(
      index,
      "gives the output of a tool that runs on the server; expected that of a tool without execute, named in startTurn's tools",
    );
  }
  if (sent.state === "output-available") return { ...part, state: sent.state, output: sent.output };
  if (typeof sent.errorText !== "string") {
    throw refusal(index, "does not say what went wrong; expected errorText, a string");
  }
  return { ...part, state: sent.state, errorText: sent.errorText };
}

const isPending = ({ state }: Part) => state === "input-available" || state === "approval-requested";

const isSamePart = (part: Part, sent: Part) =>
  part.type === sent.type &&
  part.toolCallId === sent.toolCallId &&
  (part.type !== "text" || part.text === sent.text || isBeginning(sent.text, part.text));

/**
 * The browser's copy of a text may be shorter: it has left before the end. No text is made of what is none: that of nested
 * arrays takes the time of their number times their length.
 */
const isBeginning = (beginning: unknown, text: unknown) =>
  typeof beginning === "string" && typeof text === "string" && text.startsWith(beginning);

const refusal = (index: number, message: string) =>
  new InvalidChatError([{ path: ["message", "parts", index], message }]);

import { type MessageRow, withParts } from "./message-row.ts";
import { isRecord, isToolCall, type Part, partsOf } from "./parts.ts";

const resultUnknown = "The server stopped while this tool was running. Whether it took effect is not known.";
const stillRunning = "This tool may still be running. Its result is not known yet.";

/**
 * Closes the approvals on which no turn has acted, because the turn that should have was stopped or has died. From ai 6
 * on, one such approval keeps the model from being called at all ("Tool result is missing").
 */
export const closeApprovals = (row: MessageRow): MessageRow => closeCalls(row, isAnsweredApproval, resultUnknown);

/** A message that a running turn continues, as the model gets it for another question. Never stored. */
export const withRunningTools = (row: MessageRow): MessageRow => closeCalls(row, isAnsweredApproval, stillRunning);

const isAnsweredApproval = ({ state }: Part) => state === "approval-responded";

/** Closes the calls that a dead turn began: those that are not in `before`, the message that it continued. */
export function closeCallsSince(before: MessageRow, row: MessageRow): MessageRow {
  const earlierIds = new Set(partsOf(before).map(({ toolCallId }) => toolCallId));
  const isOpen = ({ state, toolCallId }: Part) => state === "input-available" && !earlierIds.has(toolCallId);
  return closeCalls(row, isOpen, resultUnknown);
}

/** Closes the calls that are `open`, and calls whose only output is preliminary. */
function closeCalls(row: MessageRow, isOpen: (call: Part) => boolean, errorText: string): MessageRow {
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

/** A preliminary output is no result: the SDK does not pass it to the model. */
const isInProgress = ({ state, preliminary }: Part) => state === "output-available" && preliminary === true;

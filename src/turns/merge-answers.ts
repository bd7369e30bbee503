import { type MessageRow, withParts } from "../conversation/message-row.ts";
import { isRecord, isToolCall, type Part, partsOf, progressOf } from "../conversation/parts.ts";

/**
 * Merges the answer of a turn that continues a message into the stored message, which is no longer the `base` that the
 * turn has read: the client has answered another tool call, or the application has edited the message. The stored
 * message stays, plus what the turn has changed in `base` or added to it.
 *
 * @param recoveredAfter - how many parts the stored message had before the parts that come from the turn's recording.
 */
export function mergeAnswers(
  base: MessageRow,
  answer: MessageRow,
  stored: MessageRow,
  recoveredAfter?: number,
): MessageRow {
  const [before, mine] = [partsOf(base), partsOf(answer)];
  const added = mine.slice(before.length);
  const theirs = partsOf(stored).slice(0, recoveredAfter);
  const parts = theirs.map((part, index) => {
    const at = indexBeforeEdit(before, part, index);
    const [basePart, minePart] = [before[at], mine[at]];
    return basePart && minePart ? mergeParts(basePart, minePart, part) : part;
  });
  const metadata = mergeMetadata(base.metadata, answer.metadata, stored.metadata);
  return withParts({ ...stored, metadata }, [...parts, ...added]);
}

/** The index that a part of an edited message had before the edit, or -1. */
function indexBeforeEdit(before: readonly Part[], part: Part, index: number): number {
  if (isToolCall(part)) return before.findIndex(({ toolCallId }) => toolCallId === part.toolCallId);
  const same = before[index];
  if (same && same.type === part.type && !isToolCall(same)) return index;
  return before.findIndex((other) => isEqual(other, part));
}

function mergeParts(base: Part, mine: Part, theirs: Part): Part {
  if (isEqual(mine, base)) return theirs;
  if (!isToolCall(theirs)) return mergeFields(base, mine, theirs);
  // The fields of a call belong to its state, so they are taken together from the call that has come further.
  const ahead = progressOf(theirs) > progressOf(mine) ? theirs : mine;
  const isOfState = ([key]: [string, unknown]) => fieldsOfState.has(key);
  const merged = Object.entries(mergeFields(base, mine, theirs)).filter((field) => !isOfState(field));
  return Object.fromEntries([...merged, ...Object.entries(ahead).filter(isOfState)]);
}

const fieldsOfState = new Set([
  "state",
  "approval",
  "output",
  "errorText",
  "preliminary",
  "rawInput",
  "resultProviderMetadata",
]);

/** Takes each field from `theirs` if the edit has changed it, and otherwise from `mine`. */
function mergeFields(base: Part, mine: Part, theirs: Part): Part {
  const changed = Object.keys({ ...base, ...theirs }).filter((key) => !isEqual(theirs[key], base[key]));
  const kept = Object.entries(mine).filter(([key]) => !changed.includes(key));
  return Object.fromEntries([...kept, ...Object.entries(theirs).filter(([key]) => changed.includes(key))]);
}

/** Merges JSON texts; null is no metadata. */
function mergeMetadata(base: string | null, mine: string | null, theirs: string | null): string | null {
  if (theirs === base) return mine;
  if (mine === base) return theirs;
  const [before, changed, edited]: unknown[] = [base, mine, theirs].map((text) => JSON.parse(text ?? "null"));
  if (!isObject(changed) || !isObject(edited)) return theirs;
  return JSON.stringify(mergeFields(isObject(before) ? before : {}, changed, edited));
}

const isObject = (value: unknown): value is Part => isRecord(value) && !Array.isArray(value);
const isEqual = (a: unknown, b: unknown) => a === b || JSON.stringify(a) === JSON.stringify(b);

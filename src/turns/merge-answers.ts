import { type MessageRow, withParts } from "../conversation/message-row.ts";
import { isRecord, isToolCall, type Part, partsOf, progressOf } from "./parts.ts";

/**
 * The answer of a turn that continues a message, where the stored message is no longer `base`, which the turn has read: another tab has
 * answered another of its tools, or the application has edited it. The stored message stays, with what the turn has added to `base`.
 *
 * @param recoveredAfter - after so many parts, the stored message holds the turn's own beginning, which `answer` holds whole.
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
    const at = indexOfPart(before, part, index);
    const [was, is] = [before[at], mine[at]];
    return was && is ? mergeParts(was, is, part) : part;
  });
  const metadata = mergeMetadata(base.metadata, answer.metadata, stored.metadata);
  return withParts({ ...stored, metadata }, [...parts, ...added]);
}

/** Where a part of an edited message stands in the message before the edit, or -1. */
function indexOfPart(before: readonly Part[], part: Part, index: number): number {
  if (isToolCall(part)) return before.findIndex(({ toolCallId }) => toolCallId === part.toolCallId);
  const [was, text] = [before[index], JSON.stringify(part)];
  if (was && was.type === part.type && !isToolCall(was)) return index;
  return before.findIndex((other) => JSON.stringify(other) === text);
}

function mergeParts(base: Part, mine: Part, theirs: Part): Part {
  if (isEqual(mine, base)) return theirs;
  if (!isToolCall(theirs)) return mergeFields(base, mine, theirs);
  // A call is in one state, and has what belongs to that.
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

/** Each field as the edit has it, if that has changed it. */
function mergeFields(base: Part, mine: Part, theirs: Part): Part {
  const changed = Object.keys({ ...base, ...theirs }).filter((key) => !isEqual(theirs[key], base[key]));
  const kept = Object.entries(mine).filter(([key]) => !changed.includes(key));
  return Object.fromEntries([...kept, ...Object.entries(theirs).filter(([key]) => changed.includes(key))]);
}

/** JSON texts; null for none. */
function mergeMetadata(base: string | null, mine: string | null, theirs: string | null): string | null {
  if (theirs === base) return mine;
  const [was, is, edited]: unknown[] = [base, mine, theirs].map((text) => JSON.parse(text ?? "null"));
  const canMerge = mine !== base && isFields(is) && isFields(edited);
  return canMerge ? JSON.stringify(mergeFields(isFields(was) ? was : {}, is, edited)) : theirs;
}

const isFields = (value: unknown): value is Part => isRecord(value) && !Array.isArray(value);
const isEqual = (a: unknown, b: unknown) => a === b || JSON.stringify(a) === JSON.stringify(b);

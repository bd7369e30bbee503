import { digestOf, type MessageRow, withParts } from "../conversation/message-row.ts";
import { InvalidChatError } from "../errors/errors.ts";
import { mergeAnswers } from "./merge-answers.ts";
import { type Part, partsOf } from "./parts.ts";
import type { TurnRow } from "./turn-rows.ts";

export interface PlacedTurn extends Omit<TurnRow, "id"> {
  /** Of the answer that its recording became, if it was taken for dead, and how many parts that had before. */
  recoveredDigest?: string | null | undefined;
  recoveredAfter?: number | null | undefined;
}

/**
 * The conversation with the answer right after its question, in place of what the turn saw there when it started; or, if it
 * continues the message it answers, in that one's place. What others have put there meanwhile stays. `present` are all messages, or
 * those from the question on; then `taken` are ids of others.
 *
 * @returns undefined if a later change has taken the answer's place: its question is gone or is another, or the answer that its
 * recording became has been continued, edited or deleted.
 */
export function placeAnswer(
  present: readonly MessageRow[],
  { question, answerId, replaces, recoveredDigest, recoveredAfter }: PlacedTurn,
  answer: MessageRow,
  taken: readonly string[] = [],
): readonly MessageRow[] | undefined {
  const at = present.findIndex(({ id }) => id === question.id);
  const asked = present[at];
  if (!asked) return undefined;
  const isAsAsked = digestOf(asked) === digestOf(question);
  const recovered = recoveredDigest ? present.find(({ id }) => id === answerId) : undefined;
  if (recoveredDigest && (!recovered || digestOf(recovered) !== recoveredDigest)) return undefined;

  if (question.role === "assistant" && answer.id === question.id) {
    const continued = withoutEmptyEnd(question, answer);
    return present.with(
      at,
      isAsAsked ? continued : mergeAnswers(question, continued, asked, recovered && (recoveredAfter ?? undefined)),
    );
  }
  if (!isAsAsked) return undefined;
  if (saysNothing(answer)) return present;

  // Its own beginning, too, which its recording became when the turn was taken for dead.
  const replaced = new Set([answerId, ...replaces]);
  const before = present.slice(0, at + 1);
  const after = present.slice(at + 1).filter(({ id }) => !replaced.has(id));
  if (taken.includes(answer.id) || [...before, ...after].some(({ id }) => id === answer.id)) {
    throw new InvalidChatError([
      {
        path: ["responseMessage", "id"],
        message: "is the id of another message of this chat; expected a new one, as persist.generateMessageId gives",
      },
    ]);
  }
  return [...before, answer, ...after];
}

/** A message whose parts say nothing: a provider that failed, or a stop before the first word. */
export const saysNothing = (row: MessageRow): boolean => partsOf(row).every(isEmpty);

/** A continued message without the parts that the turn has added, if these say nothing: its tools can be acted on again. */
function withoutEmptyEnd(base: MessageRow, answer: MessageRow): MessageRow {
  const parts = partsOf(answer);
  const { length } = partsOf(base);
  return parts.length > length && parts.slice(length).every(isEmpty)
    ? withParts(answer, parts.slice(0, length))
    : answer;
}

/** The mark where a step begins, and a text or a reasoning that has begun and holds nothing, also with metadata of the provider. */
const isEmpty = (part: Part | null) =>
  part?.type === "step-start" || ((part?.type === "text" || part?.type === "reasoning") && part.text === "");

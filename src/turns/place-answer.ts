import type { ReplacedMessages } from "../conversation/keep-branch.ts";
import { digestOf, type MessageRow, withParts } from "../conversation/message-row.ts";
import { type Part, partsOf } from "../conversation/parts.ts";
import { InvalidChatError } from "../errors/errors.ts";
import { mergeAnswers } from "./merge-answers.ts";
import type { RecoveredAnswer, TurnRow } from "./turn-rows.ts";

/** A turn, and the answer that its recording became if it was declared dead. */
export type AnsweredTurn = Omit<TurnRow, "id"> & Partial<RecoveredAnswer>;

/**
 * Puts an answer right after its question, in place of the messages that the turn replaces, or in place of the message
 * that the turn continues. Messages that other writers have added meanwhile stay.
 *
 * @param rows - all messages, or those from the question on.
 * @param otherIds - ids of messages that are not among `rows`.
 * @returns "superseded" if the question was removed or changed, or if the answer that the turn's recording became was
 * continued, edited or removed.
 */
export function placeAnswer(
  rows: readonly MessageRow[],
  { question, answerId, replaces, recoveredDigest, recoveredAfter }: AnsweredTurn,
  answer: MessageRow,
  otherIds: readonly string[] = [],
): readonly MessageRow[] | "superseded" {
  const at = rows.findIndex(({ id }) => id === question.id);
  const asked = rows[at];
  if (!asked) return "superseded";
  const isUnchanged = digestOf(asked) === digestOf(question);
  const recovered = recoveredDigest ? rows.find(({ id }) => id === answerId) : undefined;
  if (recoveredDigest && (!recovered || digestOf(recovered) !== recoveredDigest)) return "superseded";

  if (question.role === "assistant" && answer.id === question.id) {
    const continued = dropEmptyEnd(question, answer);
    if (isUnchanged) return rows.with(at, continued);
    return rows.with(at, mergeAnswers(question, continued, asked, recovered && (recoveredAfter ?? undefined)));
  }
  if (!isUnchanged) return "superseded";
  if (isEmptyAnswer(answer)) return rows;

  // Also replaces the answer that the turn's recording became.
  const replaced = new Set([answerId, ...replaces]);
  const before = rows.slice(0, at + 1);
  const after = rows.slice(at + 1).filter(({ id }) => !replaced.has(id));
  if (otherIds.includes(answer.id) || [...before, ...after].some(({ id }) => id === answer.id)) {
    throw new InvalidChatError([
      {
        path: ["responseMessage", "id"],
        message: "is the id of another message of this chat; expected a new one, as persist.generateMessageId gives",
      },
    ]);
  }
  return [...before, answer, ...after];
}

/**
 * What the answer of a turn replaces and a branch keeps. An answer that replaces its own beginning, which its recording
 * became, is none.
 */
export const replacedBy = (
  turn: Pick<AnsweredTurn, "answerId" | "replaces"> & { questionId: string },
): ReplacedMessages => ({
  ids: turn.replaces.filter((id) => id !== turn.answerId),
  behind: turn.questionId,
});

/** The provider failed, or the turn was stopped before the first token. */
export const isEmptyAnswer = (row: MessageRow): boolean => partsOf(row).every(isEmptyPart);

/** A continued message without the parts that the turn added, if all are empty: another turn can act on its tools. */
function dropEmptyEnd(base: MessageRow, answer: MessageRow): MessageRow {
  const parts = partsOf(answer);
  const { length } = partsOf(base);
  return parts.length > length && parts.slice(length).every(isEmptyPart)
    ? withParts(answer, parts.slice(0, length))
    : answer;
}

/** The start of a step, or a text or reasoning without text, also with metadata of the provider. */
const isEmptyPart = (part: Part | null) =>
  part?.type === "step-start" || ((part?.type === "text" || part?.type === "reasoning") && part.text === "");

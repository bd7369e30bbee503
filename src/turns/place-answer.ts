import { digestOf, type MessageRow } from "../conversation/messages.ts";
import { InvalidChatError } from "../errors.ts";
import { mergeAnswers } from "./continuation.ts";
import type { Mark } from "./marks.ts";

/**
 * The conversation with the answer right after its question, in place of what the turn saw there when it started; or, if it
 * continues the message it answers, in that one's place. What others have put there meanwhile stays. `present` are all messages, or
 * those from the question on; then `taken` are ids of others.
 *
 * @returns undefined if the question is gone, or is no longer what was asked.
 */
export function placeAnswer(
  present: readonly MessageRow[],
  { question, answerId, replaces }: Omit<Mark, "id">,
  answer: MessageRow,
  taken: readonly string[] = [],
): readonly MessageRow[] | undefined {
  const at = present.findIndex(({ id }) => id === question.id);
  const asked = present[at];
  if (!asked) return undefined;
  if (question.role === "assistant" && answer.id === question.id) {
    return present.with(at, digestOf(asked) === digestOf(question) ? answer : mergeAnswers(asked, answer));
  }
  if (digestOf(asked) !== digestOf(question)) return undefined;
  if (saysNothing(answer)) return present;

  // Its own beginnings, too, which others may have stored when they took this turn for dead.
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

/** No parts, or only the marks where steps began: a provider that failed, a stop before the first word. */
function saysNothing({ parts }: MessageRow): boolean {
  const all: { type?: unknown }[] = JSON.parse(parts);
  return all.every((part) => part?.type === "step-start");
}

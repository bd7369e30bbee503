import { guardedWrite } from "../conversation/guarded-write.ts";
import type { StoredChat } from "../conversation/load-chat.ts";
import { loadWindow } from "../conversation/load-window.ts";
import { diffMessages } from "../conversation/message-diff.ts";
import { digestOf, type MessageRow } from "../conversation/message-row.ts";
import { retryWithLock } from "../conversation/retry-with-lock.ts";
import type { Context } from "../database/context.ts";
import { writeConflict } from "../database/retry-on-conflict.ts";
import { asUser } from "../database/row-level-security.ts";
import { ChatConflictError } from "../errors/errors.ts";
import { type AnsweredTurn, isEmptyAnswer, placeAnswer, replacedBy } from "./place-answer.ts";
import type { AskedTurn } from "./save-question.ts";
import type { ActorInChat } from "./turn-queries.ts";
import { endTurn } from "./turn-rows.ts";

interface AnswerInput {
  answer: MessageRow;
  /** Whether the turn has a recording. */
  isRecorded: boolean;
  /** Whether `turn.fail()` has ended the turn. */
  hasFailed: boolean;
}

/** What a call has sent to the database. If the call fails, it may be stored all the same. */
type SentAnswer = MessageRow | "empty answer";

/** Returns the function that saves the answer of a turn. It can be called again after it has failed. */
export function createAnswerSaver(
  context: Context,
  actor: ActorInChat & { turnId: string },
  asked: AskedTurn,
  limit: number | undefined,
): (input: AnswerInput) => Promise<void> {
  const { chatId } = actor;
  // Not `asked` itself, or the whole conversation would stay in memory while the turn runs.
  const { chat, turn, fromQuestion } = asked;
  const idsBefore = asked.before.map(({ id }) => id);
  const sentBefore: SentAnswer[] = [];

  return async ({ answer, isRecorded, hasFailed }) => {
    const hasNewId = answer.id === turn.answerId;
    // A shorter window does not tell whether a message before it has the id of the answer.
    const knowsEnough = hasNewId || limit === undefined;
    let canUseKnown = knowsEnough && !context.settings.portable && !hasFailed;
    let sent: SentAnswer | undefined;
    try {
      await asUser(context, actor, (context) =>
        retryWithLock(context, actor, (context) => {
          if (!canUseKnown) return loadAndSave(context);
          // The first attempt does not read the chat again.
          canUseKnown = false;
          return save(context, fromQuestion, turn, hasNewId ? [] : idsBefore);
        }),
      );
    } catch (error) {
      if (sent) sentBefore.push(sent);
      throw error;
    }

    async function loadAndSave(context: Context): Promise<unknown> {
      const window = { limit: 1, upTo: turn.question.id, idsToCheck: [answer.id], forTurn: true };
      const loaded = await loadWindow(context, actor, window);
      // Without the row of the turn, the chat was deleted, even if there is another one under its id now.
      const current = hasFailed ? undefined : loaded?.turns.find(({ id }) => id === turn.id);
      if (loaded && current) return save(context, loaded, { ...current, question: turn.question }, loaded.existingIds);
      if (isStored(answer, loaded?.rows)) return loaded;
      throw conflict(loaded);
    }

    async function save(
      context: Context,
      stored: AskedTurn["fromQuestion"],
      current: AnsweredTurn,
      otherIds: readonly string[],
    ): Promise<unknown> {
      const rows = placeAnswer(stored.rows, current, answer, otherIds);
      if (rows === "superseded") throw conflict(stored);
      const placed = rows === stored.rows ? undefined : rows.find(({ id }) => id === answer.id);
      sent = placed ?? "empty answer";
      const diff = diffMessages(stored.rows, rows, stored.firstOrder);
      const written = await guardedWrite(context, {
        ...actor,
        stored,
        diff,
        keeps: replacedBy({ ...current, questionId: turn.question.id }),
        // The beginning of this answer, which its recording became, under another id.
        ...(placed &&
          diff.removed.includes(current.answerId) && { successor: { of: current.answerId, id: answer.id } }),
        alsoWrite: endTurn(context.tables, chatId, { id: turn.id, isRecorded }),
      });
      // Another writer came first, so nothing was stored.
      if (written === writeConflict) sent = undefined;
      return written;
    }
  };

  /** Whether an earlier call has stored the answer, although it failed. */
  function isStored(answer: MessageRow, rows: readonly MessageRow[] = []): boolean {
    const sentRows = sentBefore.filter((sent) => typeof sent !== "string");
    if (isEmptyAnswer(answer) && sentRows.length < sentBefore.length) return true;
    const digests = [answer, ...sentRows].map(digestOf);
    return rows.some((row) => row.id === answer.id && digests.includes(digestOf(row)));
  }

  function conflict(stored: Pick<StoredChat, "chat" | "rows"> | null): ChatConflictError {
    const hasQuestion = stored?.rows.some(({ id }) => id === turn.question.id);
    return new ChatConflictError({
      reason: hasQuestion ? "superseded" : "gone",
      chatId,
      expectedVersion: chat.version,
      actualVersion: stored?.chat.version ?? null,
    });
  }
}

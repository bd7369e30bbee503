import { guardedWrite } from "../conversation/guarded-write.ts";
import type { StoredChat } from "../conversation/load-chat.ts";
import { loadWindow } from "../conversation/load-window.ts";
import { diffMessages } from "../conversation/message-diff.ts";
import { digestOf, type MessageRow } from "../conversation/message-row.ts";
import { retryWithLock } from "../conversation/retry-with-lock.ts";
import type { Context } from "../database/context.ts";
import { type WriteConflict, writeConflict } from "../database/retry-on-conflict.ts";
import { asUser } from "../database/row-level-security.ts";
import { ChatConflictError } from "../errors/errors.ts";
import { placeAnswer, saysNothing } from "./place-answer.ts";
import type { AskedTurn } from "./save-question.ts";
import type { ActorInChat } from "./turn-queries.ts";
import { endTurn } from "./turn-rows.ts";

/** An answer that was sent to the database; undefined if it was empty. When the call failed, it may be stored all the same. */
type Attempt = { sent: MessageRow | undefined };

interface AnswerInput {
  answer: MessageRow;
  /** Whether anything of the turn is recorded. */
  isRecorded: boolean;
  /** Whether `turn.fail()` has ended the turn. */
  hasFailed: boolean;
}

/** The function that saves the answer of a turn. It can be called again after it has failed. */
export function createAnswerSaver(
  context: Context,
  actor: ActorInChat & { turnId: string },
  asked: AskedTurn,
  limit: number | undefined,
): (input: AnswerInput) => Promise<void> {
  const { chatId } = actor;
  // Not `asked` itself: while the turn runs, its whole conversation would stay in memory.
  const { chat, turn, fromQuestion } = asked;
  const idsBefore = asked.before.map(({ id }) => id);
  const failedAttempts: Attempt[] = [];

  return async ({ answer, isRecorded, hasFailed }) => {
    const isNew = answer.id === turn.answerId;
    // The first attempt uses what the turn knows, without reading the chat again.
    let known = (isNew || limit === undefined) && !context.settings.portable && !hasFailed ? fromQuestion : undefined;
    let attempt: Attempt | undefined;
    try {
      await asUser(context, actor, (context) =>
        retryWithLock(context, actor, async (context) => {
          if (!known) return loadAndTrySave(context);
          const stored = known;
          known = undefined;
          return trySave(context, stored, isNew ? [] : idsBefore);
        }),
      );
    } catch (error) {
      if (attempt) failedAttempts.push(attempt);
      throw error;
    }

    async function loadAndTrySave(context: Context): Promise<unknown> {
      const upTo = turn.question.id;
      const loaded = await loadWindow(context, actor, { limit: 1, upTo, idsToCheck: [answer.id], forTurn: true });
      // The row goes with the chat, even if a chat was created again under its id.
      const current = hasFailed ? undefined : loaded?.turns.find(({ id }) => id === turn.id);
      if (loaded && current) return trySave(context, loaded, loaded.existingIds, current);
      if (isStored(answer, loaded?.rows)) return loaded;
      throw conflict(loaded);
    }

    async function trySave(
      context: Context,
      stored: AskedTurn["fromQuestion"],
      otherIds: readonly string[],
      current: object = {},
    ): Promise<unknown | WriteConflict> {
      const rows = placeAnswer(stored.rows, { ...turn, ...current, question: turn.question }, answer, otherIds);
      if (!rows) throw conflict(stored);
      attempt = { sent: rows === stored.rows ? undefined : rows.find(({ id }) => id === answer.id) };
      const written = await guardedWrite(context, {
        ...actor,
        stored,
        diff: diffMessages(stored.rows, rows, stored.firstOrder),
        alsoWrite: endTurn(context.tables, chatId, { id: turn.id, isRecorded }),
      });
      // Another writer came first, and nothing was stored.
      if (written === writeConflict) attempt = undefined;
      return written;
    }
  };

  /** Whether an earlier call has stored the answer, and only its confirmation was lost. */
  function isStored(answer: MessageRow, rows: readonly MessageRow[] = []): boolean {
    if (saysNothing(answer) && failedAttempts.some(({ sent }) => !sent)) return true;
    const digests = [answer.digest, ...failedAttempts.map(({ sent }) => sent && digestOf(sent))];
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

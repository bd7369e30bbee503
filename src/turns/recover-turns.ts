import { closeCallsSince } from "../conversation/close-calls.ts";
import { guardedWrite } from "../conversation/guarded-write.ts";
import { loadChat, type StoredChat } from "../conversation/load-chat.ts";
import { loadWindow, type Window } from "../conversation/load-window.ts";
import { diffMessages } from "../conversation/message-diff.ts";
import { digestOf, type MessageRow, toMessage, toRow, withParts } from "../conversation/message-row.ts";
import { partsOf } from "../conversation/parts.ts";
import { retryWithLock } from "../conversation/retry-with-lock.ts";
import type { RunningTurn } from "../conversation/running-turns.ts";
import type { Context } from "../database/context.ts";
import { type WriteConflict, writeConflict } from "../database/retry-on-conflict.ts";
import { asUser } from "../database/row-level-security.ts";
import { assemble, type RecordingPages } from "./assemble.ts";
import { placeAnswer, replacedBy } from "./place-answer.ts";
import { sleep } from "./sleep.ts";
import { readWholeRecording } from "./turn-queries.ts";
import { interruptTurn, type RecoveredAnswer } from "./turn-rows.ts";

interface ChatIds {
  userId: string;
  chatId: string;
}

/** The outcome of work that found a turn whose heartbeats are missing. An outage of the database looks the same. */
export const seemsDead = Symbol("a turn that seems dead");
export type SeemsDead = typeof seemsDead;

/**
 * A turn that seems dead is dead if it still does after this many milliseconds. After an outage, its process sends the
 * next heartbeat within two seconds, but another process may be faster to read.
 */
export const confirmAfter = 2_500;

/**
 * Runs `work` as the user, again after a write conflict, and once more some time later if a turn seems dead. `work`
 * passes `isConfirmed` to {@link loadAndRecover}.
 */
export async function confirmDead<T>(
  context: Context,
  ids: ChatIds,
  work: (context: Context, isConfirmed: boolean) => Promise<T | SeemsDead | WriteConflict>,
  isConfirmed = false,
): Promise<T> {
  const outcome = await asUser(context, ids, (context) =>
    retryWithLock<T | SeemsDead>(context, ids, (context) => work(context, isConfirmed)),
  );
  if (outcome !== seemsDead) return outcome as T;
  await sleep(confirmAfter);
  return confirmDead(context, ids, work, true);
}

/** Stores the recordings of dead turns as their answers. */
export const recoverDeadTurns = (context: Context, { userId, chatId }: ChatIds): Promise<StoredChat | null> =>
  confirmDead(context, { userId, chatId }, (context, isConfirmed) =>
    loadAndRecover(context, { userId, chatId }, { isConfirmed }),
  );

/**
 * Loads a chat, or a window of it. If there are dead turns in the chat, turns their recordings into their answers first
 * and returns the whole chat, because a question may stand anywhere.
 */
export async function loadAndRecover(
  context: Context,
  ids: ChatIds,
  { window, isConfirmed }: { window?: Window | undefined; isConfirmed: boolean },
): Promise<StoredChat | SeemsDead | WriteConflict | null> {
  if (window) {
    const loaded = await loadWindow(context, ids, { ...window, forTurn: true });
    if (!loaded?.turns.some(({ isRecoverable }) => isRecoverable)) return loaded;
  }
  const chat = await loadChat(context, ids, { forTurn: true });
  if (!isConfirmed && chat?.turns.some(({ isSilent }) => isSilent)) return seemsDead;
  return chat && recoverTurns(context, ids, chat);
}

/**
 * Stores the recordings of dead turns as their answers, each right after its question. If several callers try, one
 * succeeds: each write changes the answer and the turn's row together, and only on the chat as it was read.
 */
async function recoverTurns(context: Context, ids: ChatIds, chat: StoredChat): Promise<StoredChat | WriteConflict> {
  let current = chat;
  for (const turn of chat.turns.filter(({ isRecoverable }) => isRecoverable)) {
    const recording = () => readWholeRecording(context, ids, turn.id);
    const { rows, recovered } = await placeRecording(current.rows, turn, recording);
    const diff = diffMessages(current.rows, rows, current.firstOrder);
    const written = await guardedWrite(context, {
      ...ids,
      stored: current,
      diff,
      keeps: replacedBy(turn),
      alsoWrite: interruptTurn(context.tables, ids.chatId, turn.id, recovered),
    });
    if (written === writeConflict) return writeConflict;
    current = {
      ...written,
      firstOrder: 0,
      hasTurnRows: true,
      rows: rows.map((row, order) => ({ ...row, order })),
      turns: current.turns.map((other) =>
        other.id === turn.id ? { ...other, ...recovered, isInterrupted: true, isRecoverable: false } : other,
      ),
    };
  }
  return current;
}

/** The same rows if nothing is recorded, or if the question was removed or edited. */
async function placeRecording(
  rows: readonly MessageRow[],
  turn: RunningTurn,
  recording: () => RecordingPages,
): Promise<{ rows: readonly MessageRow[]; recovered: RecoveredAnswer }> {
  const { recoveredDigest, recoveredAfter } = turn;
  const unchanged = { rows, recovered: { recoveredDigest, recoveredAfter } };
  const question = rows.find(({ id }) => id === turn.questionId);
  const base = question && baseOfRecording(question, turn);
  if (!base) return unchanged;
  const { message, isFinished } = await assemble(toMessage(base), recording);
  const row = toRow({ ...message, id: turn.answerId, role: "assistant" }, ["responseMessage"]);
  // A stream that came to its end may have left calls open for the page to answer.
  const answer = isFinished ? row : closeCallsSince(base, row);
  const placed = placeAnswer(rows, { ...turn, question }, answer);
  if (placed === "superseded") return unchanged;
  const stored = placed.find(({ id }) => id === turn.answerId);
  return stored
    ? { rows: placed, recovered: { recoveredDigest: digestOf(stored), recoveredAfter: partsOf(base).length } }
    : { ...unchanged, rows: placed };
}

/**
 * The message to which a turn's recording adds parts: a new one, or the message that the turn continues.
 *
 * @returns undefined if the question was edited, or if the answer was edited after the recording became part of it.
 */
export function baseOfRecording(question: MessageRow, turn: RunningTurn): MessageRow | undefined {
  const { recoveredDigest, recoveredAfter } = turn;
  if (question.role === "user") {
    const empty = { id: turn.answerId, role: "assistant", metadata: null, parts: "[]", digest: "" };
    return digestOf(question) === turn.questionDigest ? empty : undefined;
  }
  if (recoveredDigest === null) return question;
  if (recoveredAfter === null || digestOf(question) !== recoveredDigest) return undefined;
  // Without the parts that an earlier recovery took from this recording.
  return withParts(question, partsOf(question).slice(0, recoveredAfter));
}

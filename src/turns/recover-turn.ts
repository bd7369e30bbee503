import { guardedWrite } from "../conversation/guarded-write.ts";
import { loadChat, type StoredChat } from "../conversation/load-chat.ts";
import { loadWindow, type Window } from "../conversation/load-window.ts";
import { diffMessages } from "../conversation/message-diff.ts";
import { digestOf, type MessageRow, toMessage, toRow, withParts } from "../conversation/message-row.ts";
import type { RunningTurn } from "../conversation/running-turns.ts";
import type { Context } from "../database/context.ts";
import { type WriteConflict, writeConflict } from "../database/retry-on-conflict.ts";
import { assemble, type RecordingPages } from "./assemble.ts";
import { closeCallsSince } from "./continuation.ts";
import { partsOf } from "./parts.ts";
import { placeAnswer } from "./place-answer.ts";
import { readWholeRecording } from "./turn-queries.ts";
import { interruptTurn } from "./turn-rows.ts";

/**
 * A chat, or only a window of it, with what is left of turns that have died in it. Where there is such a turn, it is the whole chat:
 * its question may stand anywhere.
 *
 * @returns undefined if another writer came in between.
 */
export async function loadRecovered(
  context: Context,
  ids: { userId: string; chatId: string },
  { window, hadSecondLook }: { window?: Window | undefined; hadSecondLook: boolean },
): Promise<StoredChat | typeof seemsDead | WriteConflict | null> {
  const loaded = window && (await loadWindow(context, ids, { ...window, forTurn: true }));
  if (loaded === null || loaded?.turns.every(({ isRecoverable }) => !isRecoverable)) return loaded;
  const whole = await loadChat(context, ids, { forTurn: true });
  if (!hadSecondLook && whole?.turns.some(({ isSilent }) => isSilent)) return seemsDead;
  return whole && recoverTurns(context, ids, whole);
}

/** A turn in the chat seems dead by its silence, which may be the database's own. It is looked at again. */
export const seemsDead = Symbol("a turn that seems dead");

/**
 * Milliseconds until then. After an outage, or when its pool is free again, a writer comes back within the two seconds that it waits at
 * most, but the reader may be faster.
 */
export const untilSecondLook = 2_500;

/** Does `work`, and again some time later if it has found a turn that seems dead. */
export async function withSecondLook<T>(
  work: (hadSecondLook: boolean) => Promise<T | typeof seemsDead>,
): Promise<Exclude<T, typeof seemsDead>> {
  for (let hadSecondLook = false; ; hadSecondLook = true) {
    const result = await work(hadSecondLook);
    if (result !== seemsDead) return result as Exclude<T, typeof seemsDead>;
    await new Promise((resolve) => setTimeout(resolve, untilSecondLook));
  }
}

/**
 * What was recorded of turns whose process has died becomes their answers, each right after its question. Of those who come by
 * at the same time one does it: a turn's answer and its mark change in one statement, on the chat as it was read.
 *
 * @returns the chat afterwards, or undefined if another writer came in between.
 */
async function recoverTurns(
  context: Context,
  ids: { userId: string; chatId: string },
  stored: StoredChat,
): Promise<StoredChat | WriteConflict> {
  let present = stored;
  for (const turn of stored.turns.filter(({ isRecoverable }) => isRecoverable)) {
    const recording = () => readWholeRecording(context, ids, turn.id);
    const placed = await placeRecording(present.rows, turn, recording);
    const rows = placed?.rows ?? present.rows;
    const answer = rows.find(({ id }) => id === turn.answerId);
    const { recoveredDigest, recoveredAfter } =
      placed && answer ? { recoveredDigest: digestOf(answer), recoveredAfter: placed.after } : turn;
    const saved = await guardedWrite(context, {
      ...ids,
      stored: present,
      diff: diffMessages(present.rows, rows, present.firstOrder),
      alsoWrite: interruptTurn(context.tables, ids.chatId, turn.id, { recoveredDigest, recoveredAfter }),
    });
    if (saved === writeConflict) return writeConflict;
    const turns = present.turns.map((other) =>
      other.id === turn.id
        ? { ...other, isInterrupted: true, isRecoverable: false, recoveredDigest, recoveredAfter }
        : other,
    );
    present = {
      ...saved,
      firstOrder: 0,
      hasTurnRows: true,
      rows: rows.map((row, order) => ({ ...row, order })),
      turns,
    };
  }
  return present;
}

/** @returns undefined if there is nothing to place, or its question is not there any more, or not as it was asked. */
async function placeRecording(rows: readonly MessageRow[], turn: RunningTurn, recording: () => RecordingPages) {
  const asked = rows.find(({ id }) => id === turn.questionId);
  const before = asked && messageBefore(asked, turn);
  if (!before) return undefined;
  const { message, isFinished } = await assemble(toMessage(before), recording);
  const row = toRow({ ...message, id: turn.answerId, role: "assistant" }, ["responseMessage"]);
  // A stream that came to its end may wait for what the browser has to say to its tools.
  const answer = isFinished ? row : closeCallsSince(before, row);
  const placed = placeAnswer(rows, { ...turn, question: asked }, answer);
  return placed && { rows: placed, after: partsOf(before).length };
}

/** What a turn has added its recording to: nothing, or the message that it continues, which may have been edited since. */
export function messageBefore(asked: MessageRow, turn: RunningTurn): MessageRow | undefined {
  if (asked.role === "user") {
    const empty = { id: turn.answerId, role: "assistant", metadata: null, parts: "[]", digest: "" };
    return digestOf(asked) === turn.questionDigest ? empty : undefined;
  }
  if (turn.recoveredDigest === null) return asked;
  // It ends with the beginning of this recording already. If it was changed after that, the later change stays.
  const { recoveredDigest, recoveredAfter } = turn;
  if (recoveredAfter === null || digestOf(asked) !== recoveredDigest) return undefined;
  return withParts(asked, partsOf(asked).slice(0, recoveredAfter));
}

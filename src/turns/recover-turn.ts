import { loadChat, type RunningTurn, type StoredChat } from "../conversation/load-chat.ts";
import { loadWindow, type Window } from "../conversation/load-window.ts";
import { digestOf, type MessageRow, toMessage, toRow, withParts } from "../conversation/messages.ts";
import { saveChange } from "../conversation/save-change.ts";
import type { ChatTables } from "../schema.ts";
import type { ChatDatabase, StoreSettings } from "../types.ts";
import { assemble, type Recording } from "./assemble.ts";
import { closeCallsSince, partsOf } from "./continuation.ts";
import { interruptTurn } from "./marks.ts";
import { placeAnswer } from "./place-answer.ts";
import { readWholeRecording } from "./recordings.ts";

/**
 * A chat, or only a window of it, with what is left of turns that have died in it. Where there is such a turn, it is the whole chat:
 * its question may stand anywhere.
 *
 * @returns undefined if another writer came in between.
 */
export async function loadRecovered(
  db: ChatDatabase,
  tables: ChatTables,
  ids: { userId: string; chatId: string },
  settings: StoreSettings,
  { window, hadSecondLook }: { window?: Window | undefined; hadSecondLook: boolean },
): Promise<StoredChat | typeof seemsDead | null | undefined> {
  const loaded = window && (await loadWindow(db, tables, ids, { ...window, forTurn: true }));
  if (loaded === null || loaded?.turns.every(({ isRecoverable }) => !isRecoverable)) return loaded;
  const whole = await loadChat(db, tables, ids, { forTurn: true });
  if (!hadSecondLook && whole?.turns.some(({ isSilent }) => isSilent)) return seemsDead;
  return whole && recoverTurns(db, tables, ids, whole, settings);
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
  db: ChatDatabase,
  tables: ChatTables,
  ids: { userId: string; chatId: string },
  stored: StoredChat,
  settings: StoreSettings,
): Promise<StoredChat | undefined> {
  let present = stored;
  for (const turn of stored.turns.filter(({ isRecoverable }) => isRecoverable)) {
    const recording = () => readWholeRecording(db, tables, ids, turn.id);
    const placed = await placeRecording(present.rows, turn, recording);
    const rows = placed?.rows ?? present.rows;
    const answer = rows.find(({ id }) => id === turn.answerId);
    const { recoveredDigest, recoveredAfter } =
      placed && answer ? { recoveredDigest: digestOf(answer), recoveredAfter: placed.after } : turn;
    const also = interruptTurn(tables, ids.chatId, turn.id, { recoveredDigest, recoveredAfter });
    const change = { ...ids, stored: present, rows, also };
    const saved = await saveChange(db, tables, change, settings);
    if (!saved) return undefined;
    const turns = present.turns.map((other) =>
      other.id === turn.id
        ? { ...other, isInterrupted: true, isRecoverable: false, recoveredDigest, recoveredAfter }
        : other,
    );
    present = { ...saved, firstOrder: 0, hasMarks: true, rows: rows.map((row, order) => ({ ...row, order })), turns };
  }
  return present;
}

/** @returns undefined if there is nothing to place, or its question is not there any more, or not as it was asked. */
async function placeRecording(rows: readonly MessageRow[], turn: RunningTurn, recording: () => Recording) {
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

import { loadChat, type RunningTurn, type StoredChat } from "../conversation/load-chat.ts";
import { loadWindow, type Window } from "../conversation/load-window.ts";
import { digestOf, type MessageRow, toMessage, toRow } from "../conversation/messages.ts";
import { saveChange } from "../conversation/save-change.ts";
import type { ChatTables } from "../schema.ts";
import type { ChatDatabase, StoreSettings } from "../types.ts";
import { assemble, type Recording } from "./assemble.ts";
import { closeCallsSince } from "./continuation.ts";
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
  { window, hadSecondLook }: { window?: Window | undefined; hadSecondLook: (turnId: string) => boolean },
): Promise<StoredChat | SilentTurns | null | undefined> {
  const loaded = window && (await loadWindow(db, tables, ids, { ...window, forTurn: true }));
  if (loaded === null || loaded?.turns.every(({ isRecoverable }) => !isRecoverable)) return loaded;
  const whole = await loadChat(db, tables, ids, { forTurn: true });
  const silent = whole?.turns.filter(({ id, isSilent }) => isSilent && !hadSecondLook(id)) ?? [];
  if (silent.length > 0) return new SilentTurns(silent.map(({ id }) => id));
  return whole && recoverTurns(db, tables, ids, whole, settings);
}

/** Turns that seem dead by their silence, which may be the database's own. They are looked at again. */
export class SilentTurns {
  constructor(readonly ids: readonly string[]) {}
}

/**
 * Milliseconds until then. After an outage, or when its pool is free again, a writer comes back within the two seconds that it waits at
 * most, but the reader may be faster.
 */
export const untilSecondLook = 2_500;

/** Does `work`, and again some time later if it has found turns that seem dead. */
export async function withSecondLook<T>(
  work: (hadSecondLook: (turnId: string) => boolean) => Promise<T | SilentTurns>,
): Promise<T> {
  const seen = new Set<string>();
  for (;;) {
    const result = await work((turnId) => seen.has(turnId));
    if (!(result instanceof SilentTurns)) return result;
    for (const id of result.ids) seen.add(id);
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
    const rows = placed ?? present.rows;
    const answer = placed?.find(({ id }) => id === turn.answerId);
    const recoveredDigest = answer ? digestOf(answer) : turn.recoveredDigest;
    const also = interruptTurn(tables, ids.chatId, turn.id, recoveredDigest);
    const change = { ...ids, stored: present, rows, also };
    const saved = await saveChange(db, tables, change, settings);
    if (!saved) return undefined;
    const turns = present.turns.map((other) =>
      other.id === turn.id ? { ...other, isInterrupted: true, isRecoverable: false, recoveredDigest } : other,
    );
    present = { ...saved, firstOrder: 0, hasMarks: true, rows: rows.map((row, order) => ({ ...row, order })), turns };
  }
  return present;
}

/** @returns undefined if there is nothing to place, or its question is not there any more, or not as it was asked. */
async function placeRecording(rows: readonly MessageRow[], turn: RunningTurn, recording: () => Recording) {
  const asked = rows.find(({ id }) => id === turn.questionId);
  if (!asked) return undefined;
  const isContinuation = asked.role === "assistant";
  // The message that a recording continues may have been edited since. One that has been continued by this recording already ends with it.
  if (isContinuation ? turn.recoveredDigest : digestOf(asked) !== turn.questionDigest) return undefined;
  const base = isContinuation ? toMessage(asked) : { id: turn.answerId, role: "assistant" as const, parts: [] };
  const { message, isFinished } = await assemble(base, recording);
  const row = toRow({ ...message, id: turn.answerId, role: "assistant" }, ["responseMessage"]);
  // A stream that came to its end may wait for what the browser has to say to its tools.
  const answer = isFinished ? row : closeCallsSince(isContinuation ? asked : undefined, row);
  return placeAnswer(rows, { ...turn, question: asked }, answer);
}

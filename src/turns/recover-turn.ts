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
  window?: Window,
): Promise<StoredChat | null | undefined> {
  const loaded = window && (await loadWindow(db, tables, ids, { ...window, forTurn: true }));
  if (loaded === null || loaded?.turns.every(({ isRecoverable }) => !isRecoverable)) return loaded;
  const whole = await loadChat(db, tables, ids, { forTurn: true });
  return whole && recoverTurns(db, tables, ids, whole, settings);
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
    const rows = (await placeRecording(present.rows, turn, recording)) ?? present.rows;
    const change = { ...ids, stored: present, rows, also: interruptTurn(tables, ids.chatId, turn.id) };
    const saved = await saveChange(db, tables, change, settings);
    if (!saved) return undefined;
    const turns = present.turns.map((other) =>
      other.id === turn.id ? { ...other, isInterrupted: true, isRecoverable: false } : other,
    );
    present = { ...saved, firstOrder: 0, hasMarks: true, rows: rows.map((row, order) => ({ ...row, order })), turns };
  }
  return present;
}

/** @returns undefined if there is nothing to place, or its question is not there any more, or not as it was asked. */
async function placeRecording(rows: readonly MessageRow[], turn: RunningTurn, recording: () => Recording) {
  const asked = rows.find(({ id }) => id === turn.questionId);
  if (!asked || digestOf(asked) !== turn.questionDigest) return undefined;
  const isContinuation = asked.role === "assistant";
  const base = isContinuation ? toMessage(asked) : { id: turn.answerId, role: "assistant" as const, parts: [] };
  const { message, isFinished } = await assemble(base, recording);
  const row = toRow({ ...message, id: turn.answerId, role: "assistant" }, ["responseMessage"]);
  // A stream that came to its end may wait for what the browser has to say to its tools.
  const answer = isFinished ? row : closeCallsSince(isContinuation ? asked : undefined, row);
  return placeAnswer(rows, { ...turn, question: asked }, answer);
}

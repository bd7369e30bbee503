import { randomUUID } from "node:crypto";
import type { UIMessage } from "ai";
import { lastOf, loadWindow } from "../conversation/load-window.ts";
import { digestOf, type MessageRow, toMessage, toRow } from "../conversation/messages.ts";
import { type Change, saveChange } from "../conversation/save-change.ts";
import { takeTurns } from "../conversation/take-turns.ts";
import { asUser } from "../database/row-level-security.ts";
import { refuseTransaction } from "../database/transaction.ts";
import { withTypedErrors } from "../database/typed-errors.ts";
import { ChatConflictError } from "../errors.ts";
import { answerInput, parseInput, startTurnInput } from "../input.ts";
import type { ChatTables } from "../schema.ts";
import type { Chat, ChatDatabase, StartTurnInput, StoreSettings, Turn } from "../types.ts";
import { beginTurn, endTurn, type Mark } from "./marks.ts";
import { placeAnswer } from "./place-answer.ts";
import { placeQuestion } from "./place-question.ts";
import { recordTurn } from "./record-turn.ts";
import { abandon, beat, type Ids, sweep } from "./recordings.ts";
import { loadRecovered } from "./recover-turn.ts";

/** Milliseconds, a little more than the minute that readers who are behind are given. */
const keptAfterEnd = 61_000;

export async function startTurn<M extends UIMessage>(
  db: ChatDatabase,
  tables: ChatTables,
  input: StartTurnInput<M>,
  settings: StoreSettings,
): Promise<Turn<M>> {
  refuseTransaction(
    db,
    "will have ended when the answer is to be saved; expected the database itself. Start the turn before or after the " +
      "transaction, or save both messages in it with upsertChat",
  );
  const { userId, chatId, title, message, limit, tools: clientTools, ...meaning } = parseInput(startTurnInput, input);
  const ids = { userId, chatId };
  const sent = toRow(message, ["message"]);
  const id = randomUUID();
  /** In whose name the turn goes on, also when another user claims the chat. */
  const running = { ...ids, turnId: id };
  const newAnswerId = randomUUID();

  // Before a token is generated: what a person has asked is not lost with the answer.
  const asked = await asUser(db, ids, settings, (db) => takeTurns(db, tables, ids, settings, saveQuestion));
  const { chat, mark, before, fromQuestion } = asked;
  const conversation = [...before, mark.question];
  const shown = limit === undefined ? conversation : lastOf(conversation, limit);
  const messages = shown.map((row) => toMessage<M>(row));
  const idsBefore = before.map(({ id }) => id);

  const stopping = new AbortController();
  const inTheirName = <T>(work: (db: ChatDatabase) => Promise<T>) => asUser(db, running, settings, work);
  const recording = recordTurn(
    (position, text) => inTheirName((db) => beat(db, tables, running, id, position, text)),
    () => stopping.abort(),
  );

  let saved: Promise<void> | undefined;
  const onEnd = (event: { responseMessage: M }) => {
    saved ??= withTypedErrors("startTurn", tables, endWith(event)).catch((error) => {
      saved = undefined;
      throw error;
    });
    return saved;
  };
  return {
    chat,
    messages,
    persist: { originalMessages: messages, generateMessageId: () => mark.answerId, onEnd, onFinish: onEnd },
    abortSignal: stopping.signal,
    consumeSseStream: recording.consume,
  };

  async function saveQuestion(db: ChatDatabase): Promise<Asked | undefined> {
    const window = limit === undefined ? undefined : { limit, through: sent.id };
    const stored = await loadRecovered(db, tables, ids, settings, window);
    if (stored === undefined) return undefined;
    const placed = placeQuestion(stored, sent, { ...meaning, clientTools });
    if (!placed) throw conflict(null, stored?.chat);
    const { rows, question, replaces } = placed;
    const answerId = question.role === "user" ? newAnswerId : question.id;
    const mark = { id, question: { ...question, digest: digestOf(question) }, answerId, replaces };
    const change = { ...ids, title, stored, rows, also: beginTurn(tables, chatId, mark, !stored?.hasMarks) };
    const saved = await saveChange(db, tables, change, settings);
    if (!saved) return undefined;
    const at = rows.findIndex(({ id }) => id === question.id);
    const firstOrder = (stored?.firstOrder ?? 0) + at;
    const following = rows.slice(at).map((row, index) => ({ ...row, order: firstOrder + index }));
    return {
      chat: saved.chat,
      mark,
      before: rows.slice(0, at),
      fromQuestion: { ...saved, rows: following, firstOrder },
    };
  }

  async function endWith(event: { responseMessage: M }): Promise<void> {
    const answer = toRow(parseInput(answerInput, event).responseMessage, ["responseMessage"]);
    // That a turn has ended says to readers that its recording is whole and its answer stored.
    await recording.settle();
    try {
      await saveAnswer(answer);
    } catch (error) {
      // Others may have the answer from the recording, and at once.
      if (recording.hasBegun() && !ChatConflictError.isInstance(error)) {
        await inTheirName((db) => abandon(db, tables, running, id)).catch(() => {});
      }
      throw error;
    } finally {
      recording.close();
    }
    if (recording.hasBegun()) sweepLater(db, tables, running, settings);
  }

  async function saveAnswer(answer: MessageRow): Promise<void> {
    // On what this turn knows, of which nothing is read again. Only when overtaken, on what is stored by then.
    const isNew = answer.id === mark.answerId;
    let known = (isNew || limit === undefined) && !settings.portable ? fromQuestion : undefined;
    const window = { limit: 1, through: mark.question.id, candidates: [answer.id], forTurn: true };
    await inTheirName((db) =>
      takeTurns(db, tables, running, settings, async (db) => {
        const loaded = known ? undefined : await loadWindow(db, tables, running, window);
        const present = known ?? loaded;
        // The mark goes with the chat, also if that was made again since.
        if (loaded !== undefined && !loaded?.turns.some((turn) => turn.id === id)) {
          // The first try may have been stored, and only its confirmation been lost.
          if (present?.rows.some((row) => row.id === answer.id && digestOf(row) === answer.digest)) return present;
          throw conflict(chat.version, present?.chat);
        }
        known = undefined;
        const taken = loaded ? loaded.taken : isNew ? [] : idsBefore;
        const rows = present && placeAnswer(present.rows, mark, answer, taken);
        if (!rows) throw conflict(chat.version, present?.chat);
        const also = endTurn(tables, chatId, { id, isRecorded: recording.hasBegun() });
        return saveChange(db, tables, { ...running, stored: present, rows, also }, settings);
      }),
    );
  }

  function conflict(expectedVersion: number | null, present: Chat | undefined) {
    return new ChatConflictError({ chatId, expectedVersion, actualVersion: present?.version ?? null });
  }
}

/** A question that is stored. */
interface Asked {
  chat: Chat;
  mark: Mark;
  /** The conversation before it, as far as it was loaded. */
  before: readonly MessageRow[];
  /** What is stored from it on: all that its answer has to know. */
  fromQuestion: Change["stored"];
}

/** Out here, where what the timer keeps in memory is no conversation. */
function sweepLater(db: ChatDatabase, tables: ChatTables, ids: Ids, settings: StoreSettings): void {
  const work = () => asUser(db, ids, settings, (db) => sweep(db, tables, ids)).catch(() => {});
  // Edge runtimes give a number, and end when they like.
  setTimeout(work, keptAfterEnd).unref?.();
}

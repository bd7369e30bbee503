import { randomUUID } from "node:crypto";
import type { UIMessage } from "ai";
import type { StoredChat } from "../conversation/load-chat.ts";
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
import { placeAnswer, saysNothing } from "./place-answer.ts";
import { placeQuestion } from "./place-question.ts";
import { recordTurn } from "./record-turn.ts";
import { abandon, beat, forget, type Ids, sweep } from "./recordings.ts";
import { loadRecovered, seemsDead, withSecondLook } from "./recover-turn.ts";

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

  // Before a token is generated: the question is not lost with the answer.
  const asked = await withSecondLook((hadSecondLook) =>
    asUser(db, ids, settings, (db) => takeTurns(db, tables, ids, settings, (db) => saveQuestion(db, hadSecondLook))),
  );
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
  let hasFailed = false;
  /** What calls of onEnd that failed have sent to the database, which may have stored it: the answer, or none. */
  const tried: { answer: MessageRow | undefined }[] = [];
  const onEnd = (event: { responseMessage: M }) => {
    saved ??= withTypedErrors("startTurn", tables, endWith(event)).catch((error) => {
      saved = undefined;
      throw error;
    });
    return saved;
  };
  const fail = async () => {
    // Not while the answer is being saved, and not once it is.
    const isSaved = await saved?.then(
      () => true,
      () => false,
    );
    if (isSaved) return;
    hasFailed = true;
    stopping.abort();
    recording.close();
    await withTypedErrors(
      "turn.fail",
      tables,
      inTheirName((db) => forget(db, tables, running, id)),
    );
  };
  return {
    chat,
    messages,
    persist: { originalMessages: messages, generateMessageId: () => mark.answerId, onEnd, onFinish: onEnd },
    abortSignal: stopping.signal,
    consumeSseStream: recording.consume,
    fail,
  };

  async function saveQuestion(db: ChatDatabase, hadSecondLook: boolean): Promise<Asked | typeof seemsDead | undefined> {
    const window = limit === undefined ? undefined : { limit, through: sent.id };
    const stored = await loadRecovered(db, tables, ids, settings, { window, hadSecondLook });
    if (stored === undefined || stored === seemsDead) return stored;
    const placed = placeQuestion(stored, sent, { ...meaning, clientTools });
    if (!placed) {
      const actualVersion = stored?.chat.version ?? null;
      throw new ChatConflictError({ reason: "approval", chatId, expectedVersion: null, actualVersion });
    }
    const { rows, question, replaces, before } = placed;
    const answerId = question.role === "user" ? newAnswerId : question.id;
    const mark = { id, question: { ...question, digest: digestOf(question) }, answerId, replaces };
    const replacing = stored?.turns.filter((turn) => turn.replaces.includes(question.id)) ?? [];
    const others = { areNone: !stored?.hasMarks, replacing: replacing.map(({ id }) => id) };
    const change = { ...ids, title, stored, rows, also: beginTurn(tables, chatId, mark, others) };
    const saved = await saveChange(db, tables, change, settings);
    if (!saved) return undefined;
    const at = rows.findIndex(({ id }) => id === question.id);
    const firstOrder = (stored?.firstOrder ?? 0) + at;
    const following = rows.slice(at).map((row, index) => ({ ...row, order: firstOrder + index }));
    return {
      chat: saved.chat,
      mark,
      before,
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
    // On what this turn knows, without reading it again. Only when another writer came first, on what is stored by then.
    const isNew = answer.id === mark.answerId;
    let known = (isNew || limit === undefined) && !settings.portable && !hasFailed ? fromQuestion : undefined;
    let sent: (typeof tried)[number] | undefined;
    const window = { limit: 1, through: mark.question.id, candidates: [answer.id], forTurn: true };
    await inTheirName((db) =>
      takeTurns(db, tables, running, settings, async (db) => {
        const loaded = known ? undefined : await loadWindow(db, tables, running, window);
        const present = known ?? loaded;
        // The mark goes with the chat, also if a chat was made again under its id.
        const current = hasFailed ? undefined : loaded?.turns.find((turn) => turn.id === id);
        if (loaded !== undefined && !current) {
          if (isStored(answer, present?.rows)) return present;
          throw conflict(present);
        }
        known = undefined;
        const taken = loaded ? loaded.taken : isNew ? [] : idsBefore;
        const rows =
          present && placeAnswer(present.rows, { ...mark, ...current, question: mark.question }, answer, taken);
        if (!rows) throw conflict(present);
        sent = { answer: rows === present.rows ? undefined : rows.find((row) => row.id === answer.id) };
        const also = endTurn(tables, chatId, { id, isRecorded: recording.hasBegun() });
        const saved = await saveChange(db, tables, { ...running, stored: present, rows, also }, settings);
        // Another writer came in between: nothing was stored.
        if (!saved) sent = undefined;
        return saved;
      }),
    ).catch((error) => {
      if (sent) tried.push(sent);
      throw error;
    });
  }

  /** Whether an earlier call has stored the answer, and only the confirmation was lost. */
  function isStored(answer: MessageRow, rows: readonly MessageRow[] = []): boolean {
    if (saysNothing(answer) && tried.some((sent) => !sent.answer)) return true;
    const digests = [answer.digest, ...tried.map((sent) => sent.answer && digestOf(sent.answer))];
    return rows.some((row) => row.id === answer.id && digests.includes(digestOf(row)));
  }

  function conflict(present: Pick<StoredChat, "chat" | "rows"> | null | undefined) {
    const hasQuestion = present?.rows.some((row) => row.id === mark.question.id);
    const reason = hasQuestion ? "superseded" : "gone";
    const actualVersion = present?.chat.version ?? null;
    return new ChatConflictError({ reason, chatId, expectedVersion: chat.version, actualVersion });
  }
}

/** A question that is stored. */
interface Asked {
  chat: Chat;
  mark: Mark;
  /** The conversation before it as the model is told it, as far as it was loaded. */
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

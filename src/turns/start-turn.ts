import { randomUUID } from "node:crypto";
import type { UIMessage } from "ai";
import { loadChat, type StoredChat } from "../conversation/load-chat.ts";
import { toMessage, toRow } from "../conversation/messages.ts";
import { saveChange } from "../conversation/save-change.ts";
import { asUser } from "../database/row-level-security.ts";
import { isTransaction } from "../database/transaction.ts";
import { withTypedErrors } from "../database/typed-errors.ts";
import { ChatConflictError, InvalidChatError } from "../errors.ts";
import { answerInput, parseInput, startTurnInput } from "../input.ts";
import type { ChatTables } from "../schema.ts";
import type { Chat, ChatDatabase, StartTurnInput, StoreSettings, Turn } from "../types.ts";
import { beginTurn, endTurn, type Mark } from "./marks.ts";
import { placeAnswer } from "./place-answer.ts";
import { placeQuestion } from "./place-question.ts";
import { takeTurns } from "./take-turns.ts";

export async function startTurn<M extends UIMessage>(
  db: ChatDatabase,
  tables: ChatTables,
  input: StartTurnInput<M>,
  settings: StoreSettings,
): Promise<Turn<M>> {
  if (isTransaction(db)) throw inTransactionRefusal();
  const { userId, chatId, title, message, tools: clientTools, ...meaning } = parseInput(startTurnInput, input);
  const ids = { userId, chatId };
  const sent = toRow(message, ["message"]);
  const id = randomUUID();
  const newAnswerId = randomUUID();

  // Before a token is generated: what a person has asked is not lost with the answer.
  const { stored, mark } = await asUser(db, userId, settings, (db) =>
    takeTurns(db, tables, ids, settings, saveQuestion),
  );
  const { chat } = stored;
  const end = stored.rows.findIndex((row) => row.id === mark.question.id) + 1;
  const messages = stored.rows.slice(0, end).map((row) => toMessage<M>(row));

  let saved: Promise<void> | undefined;
  const onEnd = (event: { responseMessage: M }) => {
    saved ??= withTypedErrors("startTurn", tables, saveAnswer(event)).catch((error) => {
      saved = undefined;
      throw error;
    });
    return saved;
  };
  return {
    chat,
    messages,
    persist: { originalMessages: messages, generateMessageId: () => mark.answerId, onEnd, onFinish: onEnd },
  };

  async function saveQuestion(db: ChatDatabase): Promise<{ stored: StoredChat; mark: Mark } | undefined> {
    const stored = await loadChat(db, tables, ids, { forTurn: true });
    const placed = placeQuestion(stored, sent, { ...meaning, clientTools });
    if (!placed) throw conflict(null, stored?.chat);
    const { rows, question, replaces } = placed;
    const mark = { id, question, answerId: question.role === "user" ? newAnswerId : question.id, replaces };
    const change = { ...ids, title, stored, rows, also: beginTurn(tables, chatId, mark) };
    const saved = await saveChange(db, tables, change, settings);
    return saved && { stored: { ...saved, rows: rows.map((row, order) => ({ ...row, order })), turns: [] }, mark };
  }

  async function saveAnswer(event: { responseMessage: M }): Promise<void> {
    const answer = toRow(parseInput(answerInput, event).responseMessage, ["responseMessage"]);
    // On what this turn knows, of which nothing is read again. Only when overtaken, on what is stored by then.
    let known = settings.portable ? undefined : stored;
    await asUser(db, userId, settings, (db) =>
      takeTurns(db, tables, ids, settings, async (db) => {
        const present = known ?? (await loadChat(db, tables, ids, { forTurn: true }));
        // The mark goes with the chat, also if that was made again since.
        if (!known && !present?.turns.some((turn) => turn.id === id)) {
          // The first try may have been stored, and only its confirmation been lost.
          if (present?.rows.some(({ id, digest }) => id === answer.id && digest === answer.digest)) return present;
          throw conflict(chat.version, present?.chat);
        }
        known = undefined;
        const rows = present && placeAnswer(present.rows, mark, answer);
        if (!rows) throw conflict(chat.version, present?.chat);
        return saveChange(db, tables, { ...ids, stored: present, rows, also: endTurn(tables, chatId, id) }, settings);
      }),
    );
  }

  function conflict(expectedVersion: number | null, present: Chat | undefined) {
    return new ChatConflictError({ chatId, expectedVersion, actualVersion: present?.version ?? null });
  }
}

const inTransactionRefusal = () =>
  new InvalidChatError([
    {
      path: ["db"],
      message:
        "is a transaction, which will have ended when the answer is to be saved; expected the database itself. Start the " +
        "turn before or after the transaction, or save both messages in it with upsertChat",
    },
  ]);

import { randomUUID } from "node:crypto";
import type { UIMessage } from "ai";
import { loadChat } from "../conversation/load-chat.ts";
import { type MessageRow, toMessage, toRow } from "../conversation/messages.ts";
import { saveChat } from "../conversation/save-chat.ts";
import { asUser } from "../database/row-level-security.ts";
import { withTypedErrors } from "../database/typed-errors.ts";
import { ChatConflictError, InvalidChatError } from "../errors.ts";
import { answerInput, parseInput, startTurnInput } from "../input.ts";
import type { ChatTables } from "../schema.ts";
import type { Chat, ChatDatabase, StartTurnInput, StoreSettings, Turn } from "../types.ts";
import { answerPendingTools } from "./continuation.ts";
import { takeTurns } from "./take-turns.ts";

export async function startTurn<M extends UIMessage>(
  db: ChatDatabase,
  tables: ChatTables,
  input: StartTurnInput<M>,
  settings: StoreSettings,
): Promise<Turn<M>> {
  const { userId, chatId, title, message } = parseInput(startTurnInput, input);
  const ids = { userId, chatId };
  const sent = toRow(message, ["message"]);

  // Before a token is generated: what a person has asked is not lost with the answer.
  const { chat, rows } = await asUser(db, userId, settings, (db) => takeTurns(db, tables, ids, saveQuestion));
  const messages = rows.map((row) => toMessage<M>(row));

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
    persist: { originalMessages: messages, generateMessageId: () => randomUUID(), onEnd, onFinish: onEnd },
  };

  async function saveQuestion(db: ChatDatabase): Promise<{ chat: Chat; rows: MessageRow[] }> {
    const stored = await loadChat(db, tables, ids, { digests: true });
    const rows = putQuestion(stored?.rows ?? [], sent);
    const known = { stored: stored?.rows.length, expectedVersion: stored?.chat.version ?? 0 };
    const save = { ...ids, title: stored ? undefined : title, rows, ...known };
    return { chat: await saveChat(db, tables, save, settings), rows };
  }

  async function saveAnswer(event: { responseMessage: M }): Promise<void> {
    const answer = toRow(parseInput(answerInput, event).responseMessage, ["responseMessage"]);
    // On what this turn knows, of which nothing is serialised again. Only when overtaken, on what is stored by then.
    let known: { chat: Chat; rows: readonly MessageRow[] } | null = { chat, rows };
    const saveOn = async (db: ChatDatabase) => {
      const present = known ?? (await loadChat(db, tables, ids, { digests: true }));
      known = null;
      const answered = present && putAnswer(present.rows, rows.at(-1), answer);
      if (!answered) return { actualVersion: present?.chat.version ?? null };
      const save = { ...ids, rows: answered, stored: present.rows.length, expectedVersion: present.chat.version };
      await saveChat(db, tables, save, settings);
      return undefined;
    };
    // Given back and not thrown, or it would be taken for another turn that came in between.
    const withoutQuestion = await asUser(db, userId, settings, (db) => takeTurns(db, tables, ids, saveOn));
    if (withoutQuestion) throw new ChatConflictError({ chatId, expectedVersion: chat.version, ...withoutQuestion });
  }
}

/** A stored id cuts the history there and puts the message in; a new id is appended. Within what a browser may claim. */
function putQuestion(stored: readonly MessageRow[], sent: MessageRow): MessageRow[] {
  const at = stored.findIndex(({ id }) => id === sent.id);
  const found = stored[at];
  const before = found ? stored.slice(0, at) : stored;

  if (found && found.role !== sent.role) {
    throw refusal("role", "is not the role this message is stored with; expected that one, or a new message id");
  }
  if (sent.role === "user") return [...before, sent];
  if (!found || sent.role !== "assistant") {
    throw refusal("role", 'expected "user"; messages of other roles are written by the server');
  }
  if (at < stored.length - 1) {
    throw refusal(
      "id",
      "is an assistant message in the middle of the chat; expected the last message, or a user message",
    );
  }
  return [...before, answerPendingTools(found, sent)];
}

/**
 * The answer right after its question, in place of any answer that stands there; or, if it continues the message it
 * answers, in that one's place. Undefined if the question is gone, or is no longer what was asked.
 */
function putAnswer(present: readonly MessageRow[], question: MessageRow | undefined, answer: MessageRow) {
  const at = present.findIndex(({ id }) => id === question?.id);
  if (!question || at === -1) return undefined;
  if (answer.id === question.id) return present.with(at, answer);
  if (present[at]?.digest !== question.digest) return undefined;
  const answered = present.toSpliced(at + 1, present[at + 1]?.role === "assistant" ? 1 : 0, answer);
  if (answered.filter(({ id }) => id === answer.id).length > 1) {
    throw new InvalidChatError([
      {
        path: ["responseMessage", "id"],
        message: "is the id of another message of this chat; expected a new one, as persist.generateMessageId gives",
      },
    ]);
  }
  return answered;
}

const refusal = (field: "id" | "role", message: string) =>
  new InvalidChatError([{ path: ["message", field], message }]);

import { randomUUID } from "node:crypto";
import type { UIMessage } from "ai";
import { answerPendingTools } from "./continuation.ts";
import { ChatConflictError, InvalidChatError } from "./errors.ts";
import { answerInput, parseInput, startTurnInput } from "./input.ts";
import { loadChat } from "./load-chat.ts";
import { type MessageRow, toMessage, toRow } from "./messages.ts";
import { asUser } from "./row-level-security.ts";
import { saveChat } from "./save-chat.ts";
import type { ChatTables } from "./schema.ts";
import { withTypedErrors } from "./typed-errors.ts";
import type { Chat, ChatDatabase, StartTurnInput, StoreSettings, Turn } from "./types.ts";

/** Every conflict means that another turn got on. So many of one chat's turns may do so in between before one gives up. */
const maxAttempts = 50;

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
  const { chat, rows } = await asUser(db, userId, settings, saveQuestion);
  const messages = rows.map((row) => toMessage<M>(row));

  let saved: Promise<void> | undefined;
  const onEnd = ({ responseMessage }: { responseMessage: M }) => {
    const saving = () => asUser(db, userId, settings, (db) => saveAnswer(db, responseMessage));
    saved ??= withTypedErrors("startTurn", tables, saving());
    return saved;
  };
  return {
    chat,
    messages,
    persist: { originalMessages: messages, generateMessageId: () => randomUUID(), onEnd, onFinish: onEnd },
  };

  async function saveQuestion(db: ChatDatabase): Promise<{ chat: Chat; rows: MessageRow[] }> {
    for (let attempt = 1; ; attempt++) {
      const stored = await loadChat(db, tables, ids, { digests: true });
      const rows = putQuestion(stored?.rows ?? [], sent);
      const known = { stored: stored?.rows.length, expectedVersion: stored?.chat.version ?? 0 };
      const save = { ...ids, title: stored ? undefined : title, rows, ...known };
      try {
        return { chat: await saveChat(db, tables, save, settings), rows };
      } catch (error) {
        if (!ChatConflictError.isInstance(error) || attempt === maxAttempts) throw error;
      }
    }
  }

  async function saveAnswer(db: ChatDatabase, responseMessage: M): Promise<void> {
    const answer = toRow(parseInput(answerInput, { responseMessage }).responseMessage, ["responseMessage"]);
    // On what this turn knows, of which nothing is serialised again. Only when overtaken, on what is stored by then.
    let present: { version: number; rows: readonly MessageRow[] } = { version: chat.version, rows };
    for (let attempt = 1; ; attempt++) {
      const answered = putAnswer(present.rows, rows.at(-1), answer);
      if (!answered) {
        throw new ChatConflictError({ chatId, expectedVersion: chat.version, actualVersion: present.version || null });
      }
      try {
        const known = { stored: present.rows.length, expectedVersion: present.version };
        await saveChat(db, tables, { ...ids, rows: answered, ...known }, settings);
        return;
      } catch (error) {
        if (!ChatConflictError.isInstance(error) || attempt === maxAttempts) throw error;
      }
      const stored = await loadChat(db, tables, ids, { digests: true });
      present = { version: stored?.chat.version ?? 0, rows: stored?.rows ?? [] };
    }
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

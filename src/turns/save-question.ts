import { randomUUID } from "node:crypto";
import { guardedWrite } from "../conversation/guarded-write.ts";
import type { StoredChat } from "../conversation/load-chat.ts";
import { diffMessages } from "../conversation/message-diff.ts";
import { digestOf, type MessageRow } from "../conversation/message-row.ts";
import type { Context } from "../database/context.ts";
import { type WriteConflict, writeConflict } from "../database/retry-on-conflict.ts";
import { ChatConflictError } from "../errors/errors.ts";
import type { Chat } from "../types.ts";
import { placeQuestion, type RequestIntent } from "./place-question.ts";
import { confirmDead, loadAndRecover, type SeemsDead, seemsDead } from "./recover-turns.ts";
import { beginTurn, type TurnRow } from "./turn-rows.ts";

export interface QuestionInput {
  userId: string;
  chatId: string;
  title?: string | undefined;
  message: MessageRow;
  limit?: number | undefined;
  request: RequestIntent;
}

/** A turn whose question is stored. */
export interface AskedTurn {
  chat: Chat;
  turn: TurnRow;
  /** The messages before the question as the model gets them, as far as they were loaded. */
  before: readonly MessageRow[];
  /** The stored messages from the question on, which is all that saving the answer needs. */
  fromQuestion: Pick<StoredChat, "chat" | "rowVersion" | "rows" | "firstOrder">;
}

/**
 * Stores the question and the row of its turn in one write. Before that, the recordings of dead turns in the chat
 * become their answers.
 *
 * @throws {ChatOwnershipError}
 * @throws {ChatConflictError} the message answers tool calls on whose answers another turn has acted.
 */
export function saveQuestion(context: Context, input: QuestionInput): Promise<AskedTurn> {
  const { userId, chatId } = input;
  // Before the retries, so that each attempt writes the same turn.
  const newIds = { turnId: randomUUID(), answerId: randomUUID() };
  return confirmDead(context, { userId, chatId }, (context, isConfirmed) =>
    trySave(context, input, newIds, isConfirmed),
  );
}

async function trySave(
  context: Context,
  { userId, chatId, title, message, limit, request }: QuestionInput,
  newIds: { turnId: string; answerId: string },
  isConfirmed: boolean,
): Promise<AskedTurn | SeemsDead | WriteConflict> {
  const window = limit === undefined ? undefined : { limit, upTo: message.id };
  const stored = await loadAndRecover(context, { userId, chatId }, { window, isConfirmed });
  if (stored === seemsDead || stored === writeConflict) return stored;

  const placed = placeQuestion(stored, message, request);
  if (placed === "acted on") {
    const actualVersion = stored?.chat.version ?? null;
    throw new ChatConflictError({ reason: "approval", chatId, expectedVersion: null, actualVersion });
  }
  const { rows, question, replaces, before, edited } = placed;
  const turn: TurnRow = {
    id: newIds.turnId,
    question: { ...question, digest: digestOf(question) },
    answerId: question.role === "user" ? newIds.answerId : question.id,
    replaces,
  };
  const replacing = (stored?.turns ?? []).filter((turn) => turn.replaces.includes(question.id)).map(({ id }) => id);
  const written = await guardedWrite(context, {
    userId,
    chatId,
    title,
    stored,
    diff: diffMessages(stored?.rows ?? [], rows, stored?.firstOrder),
    keeps: edited,
    alsoWrite: beginTurn(context.tables, chatId, turn, { exist: stored?.hasTurnRows ?? false, replacing }),
  });
  if (written === writeConflict) return writeConflict;

  const at = rows.findIndex(({ id }) => id === question.id);
  const firstOrder = (stored?.firstOrder ?? 0) + at;
  const fromQuestion = rows.slice(at).map((row, index) => ({ ...row, order: firstOrder + index }));
  return { chat: written.chat, turn, before, fromQuestion: { ...written, rows: fromQuestion, firstOrder } };
}

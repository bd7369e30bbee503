import { closeApprovals, withRunningTools } from "../conversation/close-calls.ts";
import type { ReplacedMessages } from "../conversation/keep-branch.ts";
import type { StoredChat } from "../conversation/load-chat.ts";
import type { StoredMessage } from "../conversation/loaded-rows.ts";
import { digestOf, type MessageRow } from "../conversation/message-row.ts";
import type { RunningTurn } from "../conversation/running-turns.ts";
import { InvalidChatError } from "../errors/errors.ts";
import { type ActedOn, answerPendingTools } from "./answer-pending-tools.ts";

/** What the client's transport says about a request, and which tools the client may answer. */
export interface RequestIntent {
  trigger?: "submit-message" | "regenerate-message" | undefined;
  messageId?: string | undefined;
  /** The names of the tools that run in the browser. */
  clientTools: ReadonlySet<string>;
}

export interface PlacedQuestion {
  /** The whole conversation with the question in its place. */
  rows: MessageRow[];
  question: MessageRow;
  /** The ids of the messages that the answer will replace. They stay until then. */
  replaces: string[];
  /** The messages before the question, as the model gets them. */
  before: MessageRow[];
  /** What an edit replaces. */
  edited?: ReplacedMessages;
}

/**
 * Decides what the message of a request means, within what a client may ask for, and puts it in its place: a new
 * question, a question asked again, an edit, a retry, or answers to pending tool calls.
 */
export function placeQuestion(
  stored: StoredChat | null,
  sent: MessageRow,
  request: RequestIntent,
): PlacedQuestion | ActedOn {
  const { rows, turns } = stored ?? { rows: [], turns: [] };
  const at = rows.findIndex(({ id }) => id === sent.id);
  const found = rows[at];
  if (found && found.role !== sent.role) {
    throw refusal("role", "is not the role of the stored message; expected that role, or a new message id");
  }
  const isBeingContinued = ({ id }: MessageRow) => turns.some((turn) => turn.questionId === id && !turn.isDead);
  const earlier = found ? rows.slice(0, at) : rows;
  const after = found ? rows.slice(at + 1) : [];
  const kept = earlier.map((row) => (isBeingContinued(row) ? row : closeApprovals(row)));
  const before = kept.map((row) => (isBeingContinued(row) ? withRunningTools(row) : row));

  if (sent.role === "assistant" && found) {
    if (after.length > 0) {
      throw refusal(
        "id",
        "is an assistant message in the middle of the chat; expected the last message, or a user message",
      );
    }
    const isRunning = isBeingContinued(found);
    const question = answerPendingTools(found, sent, { clientTools: request.clientTools, isRunning });
    return question === "acted on" ? question : { rows: [...kept, question], question, replaces: [], before };
  }
  if (sent.role !== "user") {
    throw refusal("role", 'is not "user"; expected a user message, because the server writes all others');
  }
  if (!found) return { rows: [...kept, sent], question: sent, replaces: [], before };

  const rowsAsStored = [...kept, found, ...after];
  switch (meaningOf(sent, found, request)) {
    case "edit":
      return {
        rows: [...kept, sent],
        question: sent,
        replaces: [],
        before,
        edited: replacedByEdit(sent, found, earlier, after),
      };
    case "asked again":
      return { rows: rowsAsStored, question: found, replaces: withAnswers(after, turns), before };
    case "retry":
      return { rows: rowsAsStored, question: found, replaces: answerTo(found, after[0], turns), before };
  }
}

/** If the words stay the same, only what follows is replaced. */
function replacedByEdit(
  sent: MessageRow,
  found: StoredMessage,
  earlier: readonly MessageRow[],
  after: readonly MessageRow[],
): ReplacedMessages {
  const ids = after.map(({ id }) => id);
  if (digestOf(sent) === digestOf(found)) return { ids, behind: found.id };
  return { ids: [found.id, ...ids], behind: earlier.at(-1)?.id ?? { order: found.order } };
}

function meaningOf(sent: MessageRow, found: MessageRow, { trigger, messageId }: RequestIntent) {
  if (trigger === "submit-message" && messageId !== undefined) {
    if (messageId === sent.id) return "edit";
    throw refusal("messageId", "is not the id of the message; expected the id of the edited message");
  }
  const isSame = hasSameParts(sent.parts, found.parts);
  if (trigger === "submit-message") {
    if (isSame) return "retry";
    throw refusal("id", "is the id of a message with other parts; expected messageId as well for an edit, or a new id");
  }
  return isSame ? "asked again" : "edit";
}

/** Ignores metadata: the server may have added some that the client does not know. */
const hasSameParts = (sent: string, stored: string) => sent === stored || sent === JSON.stringify(JSON.parse(stored));

/** The ids of messages and of their answers that are being generated: an answer never stays without its question. */
function withAnswers(messages: readonly MessageRow[], turns: readonly RunningTurn[]): string[] {
  const ids = messages.map(({ id }) => id);
  return [...new Set([...ids, ...turns.filter((turn) => ids.includes(turn.questionId)).map((turn) => turn.answerId)])];
}

/**
 * The answer that stands right after a question. It is no answer if it was put there while a turn of this question was
 * running that has not answered yet.
 */
function answerTo(question: MessageRow, next: StoredMessage | undefined, turns: readonly RunningTurn[]) {
  const ofQuestion = turns.filter(({ questionId }) => questionId === question.id);
  const isAnswer =
    next?.role === "assistant" &&
    ofQuestion.every(({ answerId, replaces }) => answerId === next.id || replaces.includes(next.id));
  return isAnswer ? [next.id] : [];
}

const refusal = (field: "id" | "role" | "messageId", message: string) =>
  new InvalidChatError([{ path: field === "messageId" ? [field] : ["message", field], message }]);

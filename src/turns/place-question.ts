import type { StoredChat } from "../conversation/load-chat.ts";
import type { StoredMessage } from "../conversation/loaded-rows.ts";
import type { MessageRow } from "../conversation/message-row.ts";
import type { RunningTurn } from "../conversation/running-turns.ts";
import { InvalidChatError } from "../errors/errors.ts";
import { answerPendingTools, closeApprovals, withRunningTools } from "./continuation.ts";

/** What the browser's transport says about a request, and which tools it may answer. */
export interface Request {
  trigger?: "submit-message" | "regenerate-message" | undefined;
  messageId?: string | undefined;
  /** The names of the tools that run in the browser. */
  clientTools: ReadonlySet<string>;
}

export interface Placed {
  /** The whole conversation with the question in its place. */
  rows: MessageRow[];
  question: MessageRow;
  /** The ids of the messages that the answer will take the place of. Until then they stay. */
  replaces: string[];
  /** The conversation before the question, as the model is told it. */
  before: MessageRow[];
}

/**
 * Where the message of a request belongs, and what it means: a question, one asked again, an edit, a retry, or answers to
 * pending tool calls. Within what a browser may claim.
 *
 * @returns undefined if others have acted on the same answers to tool calls before.
 */
export function placeQuestion(stored: StoredChat | null, sent: MessageRow, request: Request): Placed | undefined {
  const rows = stored?.rows ?? [];
  const at = rows.findIndex(({ id }) => id === sent.id);
  const found = rows[at];
  if (found && found.role !== sent.role) {
    throw refusal("role", "is not the role this message is stored with; expected that one, or a new message id");
  }
  const turns = stored?.turns ?? [];
  const isBeingContinued = ({ id }: MessageRow) => turns.some((turn) => turn.questionId === id && !turn.isDead);
  // An approval that a dead turn has left would keep the model from being asked at all.
  const stay = (found ? rows.slice(0, at) : rows).map((row) => (isBeingContinued(row) ? row : closeApprovals(row)));
  const before = stay.map((row) => (isBeingContinued(row) ? withRunningTools(row) : row));
  const after = found ? rows.slice(at + 1) : [];

  if (sent.role === "assistant" && found) {
    if (after.length > 0) {
      throw refusal(
        "id",
        "is an assistant message in the middle of the chat; expected the last message, or a user message",
      );
    }
    const question = answerPendingTools(found, sent, {
      clientTools: request.clientTools,
      isRunning: isBeingContinued(found),
    });
    return question && { rows: [...stay, question], question, replaces: [], before };
  }
  if (sent.role !== "user") {
    throw refusal("role", 'expected "user"; messages of other roles are written by the server');
  }
  if (!found) return { rows: [...stay, sent], question: sent, replaces: [], before };

  switch (meaningOf(sent, found, request)) {
    case "edit":
      return { rows: [...stay, sent], question: sent, replaces: [], before };
    case "asked again":
      return { rows: [...stay, found, ...after], question: found, replaces: withAnswers(after, turns), before };
    case "retry":
      return { rows: [...stay, found, ...after], question: found, replaces: answerTo(found, after[0], turns), before };
  }
}

function meaningOf(sent: MessageRow, found: MessageRow, { trigger, messageId }: Request) {
  if (trigger === "submit-message" && messageId !== undefined) {
    if (messageId === sent.id) return "edit";
    throw refusal("messageId", "is not the id of the message; expected the id of the message that is edited");
  }
  const isSame = sameParts(sent.parts, found.parts);
  if (trigger === "submit-message") {
    if (isSame) return "retry";
    throw refusal("id", "is stored with other parts; expected messageId as well, if it is edited, or a new id");
  }
  return isSame ? "asked again" : "edit";
}

/** Metadata does not count: the server may have added some that the browser does not know. */
const sameParts = (sent: string, stored: string) => sent === stored || sent === JSON.stringify(JSON.parse(stored));

/** The ids of messages, and of the answers to them that are being generated: an answer never stays without its question. */
function withAnswers(messages: readonly MessageRow[], turns: readonly RunningTurn[]): string[] {
  const ids = messages.map(({ id }) => id);
  return [...new Set([...ids, ...turns.filter((turn) => ids.includes(turn.questionId)).map((turn) => turn.answerId)])];
}

/**
 * The answer that stands right after a question. What came there while a turn of this question was running, which has not
 * answered yet, was put there by somebody else.
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

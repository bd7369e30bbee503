import type { RunningTurn, StoredChat, StoredMessage } from "../conversation/load-chat.ts";
import type { MessageRow } from "../conversation/messages.ts";
import { InvalidChatError } from "../errors.ts";
import { answerPendingTools, closeApprovals } from "./continuation.ts";

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
  // What a turn that died has left open would keep the model from being asked at all.
  const before = (found ? rows.slice(0, at) : rows).map(closeApprovals);
  const after = found ? rows.slice(at + 1) : [];

  if (sent.role === "assistant" && found) {
    if (after.length > 0) {
      throw refusal(
        "id",
        "is an assistant message in the middle of the chat; expected the last message, or a user message",
      );
    }
    const running = stored?.turns.some(({ questionId, isDead }) => questionId === found.id && !isDead);
    const question = answerPendingTools(found, sent, { clientTools: request.clientTools, isRunning: running ?? false });
    return question && { rows: [...before, question], question, replaces: [] };
  }
  if (sent.role !== "user") {
    throw refusal("role", 'expected "user"; messages of other roles are written by the server');
  }
  if (!found) return { rows: [...before, sent], question: sent, replaces: [] };

  switch (meaningOf(sent, found, request)) {
    case "edit":
      return { rows: [...before, sent], question: sent, replaces: [] };
    case "asked again":
      return { rows: [...before, found, ...after], question: found, replaces: after.map(({ id }) => id) };
    case "retry":
      return {
        rows: [...before, found, ...after],
        question: found,
        replaces: answerTo(found, after[0], stored?.turns),
      };
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

/**
 * The answer that stands right after a question. What came there while a turn of this question was running, which has not
 * answered yet, was put there by somebody else.
 */
function answerTo(question: MessageRow, next: StoredMessage | undefined, turns: readonly RunningTurn[] = []) {
  const ofQuestion = turns.filter(({ questionId }) => questionId === question.id);
  const isAnswer =
    next?.role === "assistant" &&
    ofQuestion.every(({ answerId, replaces }) => answerId === next.id || replaces.includes(next.id));
  return isAnswer ? [next.id] : [];
}

const refusal = (field: "id" | "role" | "messageId", message: string) =>
  new InvalidChatError([{ path: field === "messageId" ? [field] : ["message", field], message }]);

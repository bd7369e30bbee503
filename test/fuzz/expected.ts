/** What docs/storage.md calls valid, once more and without the library: the judge must not be the accused. */

export interface ExpectedMessage {
  id: string;
  role: string;
  parts: string;
  metadata: string | null;
}

interface ExpectedChat {
  userId: string;
  title: string;
  version: number;
  messages: ExpectedMessage[];
}

/** Chats by id. */
export type Expected = Map<string, ExpectedChat>;

/** Either what is stored afterwards, or the code of the error, after which everything is as it was. */
export type Verdict = { stored: Expected } | { code: string };
const refused = (code: string): Verdict => ({ code });

const invalid = Symbol("not valid");

/** What `read` makes of an input, or "INVALID_CHAT" if it is not valid or cannot be read. */
function reading<T>(read: () => T): T | "INVALID_CHAT" {
  try {
    return read();
  } catch (error) {
    // What hostile values throw when they are read, and the stack that nesting uses up, is the input's fault as well.
    void error;
    return "INVALID_CHAT";
  }
}

function check(condition: boolean): asserts condition {
  if (!condition) throw invalid;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function text(value: unknown, min: number, max: number): string {
  check(typeof value === "string" && value.length >= min && value.length <= max);
  check(value.isWellFormed() && !value.includes("\0"));
  return value;
}

const optionalTitle = (value: unknown) => (value === undefined ? undefined : text(value, 0, 1_000));

/** Of a turn, whose title mostly is the beginning of a question. */
function cleanedTitle(value: unknown) {
  if (value === undefined) return undefined;
  check(typeof value === "string");
  const cleaned = value
    .slice(0, 1_000)
    .toWellFormed()
    .split(/[\s\p{Cc}]/u)
    .filter((word) => word !== "");
  return cleaned.join(" ");
}

/** The fields of a message, each read once. */
function envelope(value: unknown) {
  check(isObject(value));
  const { id, role, parts, metadata } = value;
  check(Array.isArray(parts));
  return { id: text(id, 1, 255), role: text(role, 1, 255), parts, metadata };
}

function serialised({ id, role, parts, metadata }: ReturnType<typeof envelope>): ExpectedMessage {
  const json = { parts: JSON.stringify(parts), metadata: metadata === undefined ? null : JSON.stringify(metadata) };
  // Where JSON.stringify has no limit, as on Node 26, Postgres has one.
  check(!/(?:\[|\{"a":){10000}/.test(`${json.parts}${json.metadata}`));
  check(typeof json.parts === "string" && json.parts.startsWith("[") && json.metadata !== undefined);
  return { id, role, ...json };
}

function readSave(input: unknown) {
  check(isObject(input));
  const { userId, chatId, title, messages, expectedVersion } = input;
  const save = { userId: text(userId, 1, 255), chatId: text(chatId, 1, 255), title: optionalTitle(title) };
  check(Array.isArray(messages));
  const envelopes = Array.from({ length: messages.length }, (_, index) => envelope(messages[index]));
  check(new Set(envelopes.map(({ id }) => id)).size === envelopes.length);
  if (expectedVersion === undefined) return { ...save, messages: envelopes.map(serialised), expectedVersion };
  check(typeof expectedVersion === "number" && Number.isInteger(expectedVersion));
  check(expectedVersion >= 1 && expectedVersion < 2 ** 31);
  return { ...save, messages: envelopes.map(serialised), expectedVersion };
}

export function afterUpsert(chats: Expected, input: unknown): Verdict {
  const save = reading(() => readSave(input));
  if (save === "INVALID_CHAT") return refused(save);
  const stored = chats.get(save.chatId);
  if (stored && stored.userId !== save.userId) return refused("CHAT_NOT_OWNED");
  const title = save.title ?? stored?.title ?? "";
  const isSame = stored?.title === title && JSON.stringify(stored.messages) === JSON.stringify(save.messages);
  if (isSame) return { stored: chats };
  if (save.expectedVersion !== undefined && save.expectedVersion !== stored?.version) return refused("CHAT_CONFLICT");
  return { stored: withChat(chats, save, title, save.messages) };
}

/** The id under which `getChat` is asked, and by whom. */
export const readIds = (input: unknown) =>
  reading(() => {
    check(isObject(input));
    const { userId, chatId } = input;
    return { userId: text(userId, 1, 255), chatId: text(chatId, 1, 255) };
  });

export const readList = (input: unknown) =>
  reading(() => {
    check(isObject(input));
    const { userId, limit, before } = input;
    const list = { userId: text(userId, 1, 255), limit: Number.POSITIVE_INFINITY, before: Number.POSITIVE_INFINITY };
    if (limit !== undefined) {
      check(typeof limit === "number" && Number.isSafeInteger(limit) && limit >= 1);
      list.limit = limit;
    }
    if (before !== undefined) {
      check(isObject(before));
      const { id, updatedAt } = before;
      text(id, 1, 255);
      check(updatedAt instanceof Date);
      check(updatedAt.getUTCFullYear() >= 1 && updatedAt.getUTCFullYear() <= 9999);
      list.before = updatedAt.getTime();
    }
    return list;
  });

/** What a turn's question leaves. An answer to pending tool calls is "merged", which the caller looks into. */
export function afterQuestion(chats: Expected, input: unknown): Verdict | { merged: ExpectedMessage; ids: Ids } {
  const turn = reading(() => {
    check(isObject(input));
    const { userId, chatId, title, message } = input;
    const ids = { userId: text(userId, 1, 255), chatId: text(chatId, 1, 255) };
    return { ...ids, title: cleanedTitle(title), sent: serialised(envelope(message)) };
  });
  if (turn === "INVALID_CHAT") return refused(turn);
  const chat = chats.get(turn.chatId);
  const stored = chat?.userId === turn.userId ? chat.messages : [];
  const at = stored.findIndex(({ id }) => id === turn.sent.id);
  if (turn.sent.role === "user" && (at === -1 || stored[at]?.role === "user")) {
    if (chat && chat.userId !== turn.userId) return refused("CHAT_NOT_OWNED");
    // Asked again: nothing is cut before there is an answer.
    if (stored[at]?.parts === turn.sent.parts) return { stored: chats };
    const messages = [...stored.slice(0, at === -1 ? stored.length : at), turn.sent];
    return { stored: withChat(chats, turn, chat?.title ?? turn.title ?? "", messages) };
  }
  const last = stored.at(-1);
  if (last?.role !== "assistant" || turn.sent.role !== "assistant" || turn.sent.id !== last.id) {
    return refused("INVALID_CHAT");
  }
  return { merged: last, ids: turn };
}

export interface Ids {
  userId: string;
  chatId: string;
}

/** What an answer leaves when nobody else wrote since its question: whatever followed that is replaced. */
export function afterAnswer(chats: Expected, ids: Ids, questionId: string, input: unknown): Verdict {
  const answer = reading(() => {
    check(isObject(input));
    return serialised(envelope(input.responseMessage));
  });
  if (answer === "INVALID_CHAT") return refused(answer);
  const chat = chats.get(ids.chatId);
  const stored = chat?.messages ?? [];
  const at = stored.findIndex(({ id }) => id === questionId);
  const question = stored[at];
  const continues = question?.role === "assistant" && question.id === answer.id;
  const saysNothing = (JSON.parse(answer.parts) as unknown[]).every(
    (part) => isObject(part) && part.type === "step-start",
  );
  if (saysNothing && !continues) return { stored: chats };
  const before = stored.slice(0, continues ? at : at + 1);
  if (before.some(({ id }) => id === answer.id)) return refused("INVALID_CHAT");
  const messages = [...before, answer];
  if (JSON.stringify(messages) === JSON.stringify(stored)) return { stored: chats };
  return { stored: withChat(chats, ids, chat?.title ?? "", messages) };
}

function withChat(chats: Expected, { userId, chatId }: Ids, title: string, messages: ExpectedMessage[]): Expected {
  const version = (chats.get(chatId)?.version ?? 0) + 1;
  return new Map(chats).set(chatId, { userId, title, version, messages });
}

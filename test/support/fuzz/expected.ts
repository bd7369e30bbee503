/** What docs/storage.md calls valid, once more and without the library: the judge must not be the accused. */

export interface ExpectedMessage {
  id: string;
  role: string;
  parts: string;
  metadata: string | null;
}

export interface ExpectedChat {
  userId: string;
  title: string;
  version: number;
  messages: ExpectedMessage[];
  archived: boolean;
  metadata: string | null;
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
    .replace(/[\uD800-\uDBFF]$/, "")
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
  const { userId, chatId, title, messages, after, expectedVersion } = input;
  const ids = { userId: text(userId, 1, 255), chatId: text(chatId, 1, 255) };
  const save = { ...ids, title: optionalTitle(title), after: after === undefined ? undefined : text(after, 1, 255) };
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
  if (save.after !== undefined) {
    const owned = ownedChat(chats, save);
    const before = owned?.messages.slice(0, owned.messages.findIndex(({ id }) => id === save.after) + 1) ?? [];
    if (save.messages.some(({ id }) => before.some((message) => message.id === id))) return refused("INVALID_CHAT");
    const messages = [...before, ...save.messages];
    const title = save.title ?? owned?.title ?? "";
    if (before.length > 0 && owned?.title === title && JSON.stringify(owned.messages) === JSON.stringify(messages)) {
      return { stored: chats };
    }
    if (save.expectedVersion !== undefined && save.expectedVersion !== owned?.version) return refused("CHAT_CONFLICT");
    return before.length > 0 ? { stored: withChat(chats, save, title, messages) } : refused("INVALID_CHAT");
  }
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

const positiveInteger = (value: unknown) => {
  check(typeof value === "number" && Number.isSafeInteger(value) && value >= 1);
  return value;
};

export const readPage = (input: unknown) =>
  reading(() => {
    check(isObject(input));
    const { limit, before } = input;
    const page = { ...idsIn(input), limit: positiveInteger(limit) };
    return { ...page, before: before === undefined ? undefined : text(before, 1, 255) };
  });

/** Without `cursor`, which only the store can have made. */
export const readSearch = (input: unknown) =>
  reading(() => {
    check(isObject(input));
    const { userId, query, limit } = input;
    return {
      userId: text(userId, 1, 255),
      query: text(query, 1, 255),
      limit: limit === undefined ? 20 : positiveInteger(limit),
    };
  });

/** What a turn's question leaves. An answer to pending tool calls is "merged", which the caller looks into. */
export function afterQuestion(chats: Expected, input: unknown): Verdict | { merged: ExpectedMessage; ids: Ids } {
  const turn = reading(() => {
    check(isObject(input));
    const { userId, chatId, title, message, limit } = input;
    if (limit !== undefined) positiveInteger(limit);
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
  const { version, archived, metadata } = chats.get(chatId) ?? { version: 0, archived: false, metadata: null };
  return new Map(chats).set(chatId, { userId, title, version: version + 1, messages, archived, metadata });
}

/** What a call that changes a chat gives, beside what it leaves. */
export type Changed = { stored: Expected; gives: unknown } | { code: string };

const optionalFlag = (value: unknown) => {
  check(value === undefined || typeof value === "boolean");
  return value;
};
const optionalVersion = (value: unknown) => {
  if (value === undefined) return undefined;
  check(typeof value === "number" && Number.isInteger(value) && value >= 1 && value < 2 ** 31);
  return value;
};
const idsIn = (input: Record<string, unknown>) => {
  const { userId, chatId } = input;
  return { userId: text(userId, 1, 255), chatId: text(chatId, 1, 255) };
};
const ownedChat = (chats: Expected, { userId, chatId }: Ids) => {
  const chat = chats.get(chatId);
  return chat?.userId === userId ? chat : undefined;
};

export function afterUpdateChat(chats: Expected, input: unknown): Changed {
  const update = reading(() => {
    check(isObject(input));
    const ids = idsIn(input);
    const { title, titleIfEmpty, expectedTitle, archived, metadata } = input;
    const given = {
      title: optionalTitle(title),
      titleIfEmpty: optionalTitle(titleIfEmpty),
      expectedTitle: optionalTitle(expectedTitle),
      archived: optionalFlag(archived),
    };
    check(title === undefined || titleIfEmpty === undefined);
    check(title !== undefined || expectedTitle === undefined);
    check([title, titleIfEmpty, archived, metadata].some((value) => value !== undefined));
    if (metadata === undefined) return { ...ids, ...given, json: undefined };
    const json = metadata === null ? "null" : JSON.stringify(metadata);
    check(json !== undefined && !/(?:\[|\{"a":){10000}/.test(json));
    return { ...ids, ...given, json };
  });
  if (update === "INVALID_CHAT") return refusedWith(update);
  const chat = ownedChat(chats, update);
  if (!chat) return { stored: chats, gives: null };
  const next = { ...chat, archived: update.archived ?? chat.archived };
  if (update.title !== undefined && [undefined, chat.title].includes(update.expectedTitle)) next.title = update.title;
  if (chat.title === "") next.title = update.titleIfEmpty ?? next.title;
  if (update.json !== undefined) next.metadata = update.json === "null" ? null : update.json;
  return { stored: new Map(chats).set(update.chatId, next), gives: update.chatId };
}

export function afterUpdateMessage(chats: Expected, input: unknown): Changed {
  const update = reading(() => {
    check(isObject(input));
    const { message, expectedVersion } = input;
    const ids = idsIn(input);
    return { ...ids, expectedVersion: optionalVersion(expectedVersion), message: serialised(envelope(message)) };
  });
  if (update === "INVALID_CHAT") return refusedWith(update);
  return afterChange(chats, update, update.message.id, (messages, at) =>
    messages[at]?.role === update.message.role ? messages.with(at, update.message) : "INVALID_CHAT",
  );
}

export function afterDeleteMessage(chats: Expected, input: unknown): Changed {
  const gone = reading(() => {
    check(isObject(input));
    const { messageId, following, expectedVersion } = input;
    return {
      ...idsIn(input),
      messageId: text(messageId, 1, 255),
      following: optionalFlag(following),
      expectedVersion: optionalVersion(expectedVersion),
    };
  });
  if (gone === "INVALID_CHAT") return refusedWith(gone);
  return afterChange(chats, gone, gone.messageId, (messages, at) =>
    gone.following ? messages.slice(0, at) : messages.toSpliced(at, 1),
  );
}

function afterChange(
  chats: Expected,
  ids: Ids & { expectedVersion: number | undefined },
  messageId: string,
  change: (messages: ExpectedMessage[], at: number) => ExpectedMessage[] | string,
): Changed {
  const chat = ownedChat(chats, ids);
  const at = chat?.messages.findIndex(({ id }) => id === messageId) ?? -1;
  if (!chat || at === -1) return { stored: chats, gives: null };
  const messages = change(chat.messages, at);
  if (typeof messages === "string") return refusedWith(messages);
  if (JSON.stringify(messages) === JSON.stringify(chat.messages)) return { stored: chats, gives: ids.chatId };
  if (ids.expectedVersion !== undefined && ids.expectedVersion !== chat.version) return refusedWith("CHAT_CONFLICT");
  return { stored: withChat(chats, ids, chat.title, messages), gives: ids.chatId };
}

/** What stands in chat "c" in place of its answer, once that branch is switched to. */
export const alternative: ExpectedMessage = {
  id: "b",
  role: "assistant",
  parts: '[{"type":"text","text":"\\u0000 1.0"}]',
  metadata: "null",
};
export const branchId = "2f0c1d5e-0000-4000-8000-0000000000b1";

export function afterSwitchBranch(chats: Expected, input: unknown): Changed {
  const switched = reading(() => {
    check(isObject(input));
    return {
      ...idsIn(input),
      branchId: text(input.branchId, 1, 255),
      expectedVersion: optionalVersion(input.expectedVersion),
    };
  });
  if (switched === "INVALID_CHAT") return refusedWith(switched);
  if (switched.branchId.toLowerCase() !== branchId || switched.chatId !== "c") return { stored: chats, gives: null };
  return afterChange(chats, switched, "q", (messages, at) => [...messages.slice(0, at + 1), alternative]);
}

export function afterFork(chats: Expected, input: unknown): Changed {
  const fork = reading(() => {
    check(isObject(input));
    const { newChatId, throughMessageId, title } = input;
    return {
      ...idsIn(input),
      newChatId: text(newChatId, 1, 255),
      throughMessageId: throughMessageId === undefined ? undefined : text(throughMessageId, 1, 255),
      title: optionalTitle(title),
    };
  });
  if (fork === "INVALID_CHAT") return refusedWith(fork);
  const chat = ownedChat(chats, fork);
  const at = chat?.messages.findIndex(({ id }) => id === fork.throughMessageId) ?? -1;
  if (!chat || (fork.throughMessageId !== undefined && at === -1)) return { stored: chats, gives: null };
  const taken = chats.get(fork.newChatId);
  if (taken) return refusedWith(taken.userId === fork.userId ? "CHAT_CONFLICT" : "CHAT_NOT_OWNED");
  const messages = fork.throughMessageId === undefined ? chat.messages : chat.messages.slice(0, at + 1);
  const ids = { userId: fork.userId, chatId: fork.newChatId };
  return { stored: withChat(chats, ids, fork.title ?? chat.title, messages), gives: fork.newChatId };
}

export function afterDeleteChat(chats: Expected, input: unknown): Changed {
  const ids = readIds(input);
  if (ids === "INVALID_CHAT") return refusedWith(ids);
  const isGone = ownedChat(chats, ids) !== undefined;
  const left = [...chats].filter(([id]) => !isGone || id !== ids.chatId);
  return { stored: new Map(left), gives: isGone };
}

export function afterClaim(chats: Expected, input: unknown): Changed {
  const claim = reading(() => {
    check(isObject(input));
    const { fromUserId, userId } = input;
    return { fromUserId: text(fromUserId, 1, 255), userId: text(userId, 1, 255) };
  });
  if (claim === "INVALID_CHAT") return refusedWith(claim);
  const isTheirs = ({ userId }: { userId: string }) => claim.userId !== claim.fromUserId && userId === claim.fromUserId;
  const after = [...chats].map(
    ([id, chat]) => [id, isTheirs(chat) ? { ...chat, userId: claim.userId } : chat] as const,
  );
  return { stored: new Map(after), gives: [...chats.values()].filter(isTheirs).length };
}

export function afterDeleteAll(chats: Expected, input: unknown): Changed {
  const userId = readUser(input);
  if (userId === "INVALID_CHAT") return refusedWith(userId);
  const left = [...chats].filter(([, chat]) => chat.userId !== userId);
  return { stored: new Map(left), gives: chats.size - left.length };
}

export function afterExport(chats: Expected, input: unknown): Changed {
  const userId = readUser(input);
  if (userId === "INVALID_CHAT") return refusedWith(userId);
  return { stored: chats, gives: [...chats.values()].filter((chat) => chat.userId === userId).length };
}

const readUser = (input: unknown) =>
  reading(() => {
    check(isObject(input));
    return text(input.userId, 1, 255);
  });

const refusedWith = (code: string) => ({ code });

import {
  convertToModelMessages,
  createUIMessageStreamResponse,
  streamText,
  toUIMessageStream,
  type UIMessage,
} from "ai";
import { MockLanguageModelV4 } from "ai/test";
import {
  ChatConflictError,
  type ChatDatabase,
  ChatOwnershipError,
  ChatStoreError,
  createChatStore,
  InvalidChatError,
  isRetryable,
  migrate,
  type Turn,
} from "drizzle-chat-store";
import { sql } from "drizzle-orm";
import { eventually } from "../../eventually.ts";

/**
 * What an application does with a store, from the empty database on. The same on every runtime and with every driver: it knows
 * neither, and what it gives is compared with one object.
 *
 * @param unreachable - a database by the same driver, on a server that does not answer.
 */
export async function exercise(db: ChatDatabase, unreachable?: ChatDatabase) {
  const store = createChatStore(db);
  const ids = { userId: "u1", chatId: "c1" };

  const beforeMigrating = await errorOf(() => store.getChats({ userId: "u1" }));
  check(ChatStoreError.isInstance(beforeMigrating), "without tables, an error of the package", beforeMigrating);
  await migrate(db);
  await migrate(db);

  const question = say("user", "m1", "Weather?");
  const reply = say("assistant", "m2", "Sunny \u0000 \u{1F31E}", { model: "x", at: 1.5, none: null });
  const thanks = say("user", "m3", "Thanks");
  const created = await store.upsertChat({ ...ids, title: "Weather", messages: [question, reply] });
  check(created.version === 1 && created.createdAt instanceof Date, "the first version, and a date", created);
  check(Math.abs(Date.now() - created.updatedAt.getTime()) < 3_600_000, "the time of now, whatever the zone", created);
  const appended = await store.upsertChat({ ...ids, messages: [question, reply, thanks] });
  check(appended.version === 2, "the second version", appended);
  const edited = await store.upsertChat({ ...ids, messages: [question, say("assistant", "m2", "Rain"), thanks] });
  check(edited.version === 3, "the third version", edited);
  const back = await store.upsertChat({ ...ids, messages: [question, reply, thanks] });
  check(back.version === 4, "the fourth version", back);
  const again = await store.upsertChat({ ...ids, messages: [question, reply, thanks], expectedVersion: 4 });
  check(again.version === 4, "no version for what is stored already", again);
  const loaded = await store.getChat(ids);
  check(loaded?.updatedAt instanceof Date && same(loaded, { ...again, messages: loaded.messages }), "the chat", loaded);

  const chats = await store.getChats({ userId: "u1" });
  const page = await store.getMessages({ ...ids, limit: 1 });
  const found = await store.searchChats({ userId: "u1", query: "sunny" });

  const stranger = { ...ids, userId: "u2" };
  check((await store.getChat(stranger)) === null, "nothing for a stranger");
  const refused = await errorOf(() => store.upsertChat({ ...stranger, messages: [question] }));
  check(ChatOwnershipError.isInstance(refused) && !isRetryable(refused), "a ChatOwnershipError", refused);
  const invalid = await errorOf(() => store.upsertChat({ ...ids, messages: [question, question] }));
  check(InvalidChatError.isInstance(invalid), "an InvalidChatError", invalid);
  const conflict = await errorOf(() => store.upsertChat({ ...ids, messages: [question], expectedVersion: 1 }));
  check(ChatConflictError.isInstance(conflict) && !isRetryable(conflict), "a ChatConflictError", conflict);
  check(isRetryable({ code: "40001" }), "what can be retried");
  const lostRace = await errorOf(() => db.execute(sql`do $$ begin raise exception using errcode = '40001'; end $$`));
  const noAnswer = unreachable && (await errorOf(() => createChatStore(unreachable).getChats({ userId: "u1" })));

  const answered = await answeredTurn(db);
  const stopped = await stoppedTurn(db);

  const deleted = [await store.deleteChat(ids), await store.deleteChat(ids)];
  check((await store.getChat(ids)) === null, "no chat after it was deleted");

  return {
    messages: loaded?.messages,
    chats: chats.map(({ id, title, version }) => ({ id, title, version })),
    page: page && { messages: page.messages.map(({ id }) => id), hasMore: page.hasMore },
    found: found.matches.map(({ chat }) => chat.id),
    refusals: [refused.code, invalid.code, conflict.code],
    recognised: {
      withoutTables: beforeMigrating.code,
      lostRace: isRetryable(lostRace),
      ...(unreachable && { unreachable: isRetryable(noAnswer) }),
    },
    answered,
    stopped,
    deleted,
  };
}

/** A turn, which somebody joins in the middle. */
async function answeredTurn(db: ChatDatabase) {
  const store = createChatStore(db);
  const ids = { userId: "u1", chatId: "answered" };
  const turn = await store.startTurn({ ...ids, title: "Tides", message: say("user", "q1", "Why do tides turn?") });
  const { model, speak, finish } = speaker();
  const response = await answer(turn, model);
  const sent = response.text();
  speak("The moon ");
  const joined = await joinedTurn(() => store.resumeTurn(ids));
  // Only now: what came until here came while the answer was being written.
  const seen = await joined.until("The moon ");
  speak("pulls.");
  await finish();
  const [whole, rest] = [await sent, await joined.rest()];
  check(seen + rest === whole, "one stream for both", { whole, joined: seen + rest });
  check((await store.resumeTurn(ids)) === null, "nothing to resume after the end");
  const chat = await store.getChat(ids);
  check(chat?.messages[1]?.id === turn.persist.generateMessageId(), "the answer under the id it was sent with", chat);
  return { status: response.status, messages: chat?.messages.map(({ role, parts }) => ({ role, parts })) };
}

/** A turn that is stopped in the middle. */
async function stoppedTurn(db: ChatDatabase) {
  const store = createChatStore(db);
  const ids = { userId: "u1", chatId: "stopped" };
  const none = await store.stopTurn(ids);
  const turn = await store.startTurn({ ...ids, message: say("user", "q1", "Why do tides turn?") });
  const { model, speak } = speaker();
  const response = await answer(turn, model);
  const sent = response.text();
  speak("The moon ");
  const joined = await joinedTurn(() => store.resumeTurn(ids));
  await joined.until("The moon ");
  const stopped = await store.stopTurn({ ...ids, messageId: "q1" });
  await sent;
  await joined.rest();
  check(turn.abortSignal.aborted, "the model's signal");
  const chat = await store.getChat(ids);
  return { answers: [none, stopped, await store.stopTurn(ids)], texts: chat?.messages.map(textOf) };
}

/** What a route handler does. */
export async function answer(turn: Turn, model: MockLanguageModelV4): Promise<Response> {
  const messages = await convertToModelMessages(turn.messages);
  const result = streamText({ model, messages, maxRetries: 0, abortSignal: turn.abortSignal, onError: () => {} });
  return createUIMessageStreamResponse({
    stream: toUIMessageStream({ stream: result.stream, ...turn.persist }),
    consumeSseStream: turn.consumeSseStream,
  });
}

/** The SDK's own model for tests, which says what it is told to when it is told to. */
export function speaker() {
  const { readable, writable } = new TransformStream();
  const writer = writable.getWriter();
  // Whom nobody listens to any more speaks in vain.
  const write = (part: object) => void writer.write(part).catch(() => {});
  write({ type: "stream-start", warnings: [] });
  write({ type: "text-start", id: "1" });
  const model = new MockLanguageModelV4({
    doStream: async ({ abortSignal }) => {
      abortSignal?.addEventListener("abort", () => void writer.abort(abortSignal.reason).catch(() => {}));
      return { stream: readable };
    },
  });
  const usage = {
    inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: 1, text: 1, reasoning: 0 },
  };
  return {
    model,
    speak: (delta: string) => write({ type: "text-delta", id: "1", delta }),
    finish: async () => {
      write({ type: "text-end", id: "1" });
      write({ type: "finish", finishReason: { unified: "stop", raw: "stop" }, usage });
      await writer.close().catch(() => {});
    },
  };
}

/** Resumes as soon as there is something to resume, and reads on from call to call. */
async function joinedTurn(resume: () => Promise<ReadableStream<Uint8Array> | null>) {
  const stream = await eventually("there is a turn to resume", resume);
  const reader = stream.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>).getReader();
  async function until(text: string | undefined): Promise<string> {
    let read = "";
    while (text === undefined || !read.includes(text)) {
      const { done, value } = await reader.read();
      if (done) break;
      // A comment, sent while nothing else comes.
      if (!value.startsWith(":")) read += value;
    }
    return read;
  }
  return { until, rest: () => until(undefined) };
}

export const say = (role: UIMessage["role"], id: string, text: string, metadata?: unknown): UIMessage => ({
  id,
  role,
  parts: [{ type: "text", text }],
  ...(metadata === undefined ? undefined : { metadata }),
});

const textOf = ({ parts }: UIMessage) => parts.map((part) => (part.type === "text" ? part.text : "")).join("");

const same = (one: unknown, other: unknown) => sorted(one) === sorted(other);
const sorted = (value: unknown) => JSON.stringify(Object.entries(value as object).sort(([a], [b]) => (a < b ? -1 : 1)));

const errorOf = (call: () => Promise<unknown>): Promise<unknown> =>
  call().then(
    () => undefined,
    (error) => error,
  );

function check(holds: unknown, expected: string, found?: unknown): asserts holds {
  if (!holds) throw new Error(`Expected ${expected}; found ${JSON.stringify(found)} (${found})`, { cause: found });
}

// Projects: main, thorough, tables, citus. Long: postgres.
import type { UIMessage } from "ai";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ChatStore } from "../../src/index.ts";
import { databases, inModes, type TestDatabase } from "../support/databases.ts";
import { seeded } from "../support/seed.ts";

/** What is there: few chats of two users, which come and go, and few messages in them. */
interface ModelChat {
  userId: string;
  title: string;
  version: number;
  archived: boolean;
  metadata?: unknown;
  messages: UIMessage[];
}
type Model = Map<string, ModelChat>;
/** What a call comes to: `value`, or an error's `code`; and the chats afterwards. */
interface Expected {
  outcome: unknown;
  model: Model;
}
type Step = (store: ChatStore, model: Model) => { call: Promise<unknown>; expected: Expected };

const userId = fc.constantFrom("u", "v");
const chatId = fc.constantFrom("c0", "c1", "c2", "c3");
const messageId = fc.integer({ min: 0, max: 5 }).map((number) => `m${number}`);
const title = fc.constantFrom("", "Tides", "Moon");
const message: fc.Arbitrary<UIMessage> = fc.record({
  id: messageId,
  role: fc.constantFrom("user" as const, "assistant" as const),
  metadata: fc.constantFrom(undefined, null, { seen: 1 }),
  parts: fc.constantFrom<UIMessage["parts"]>(
    [],
    [{ type: "text", text: 'a "quote", a \\ and a \u0000' }],
    [{ type: "text", text: "long ".repeat(200) }],
  ),
});
const messages = fc.uniqueArray(message, { selector: ({ id }) => id, maxLength: 6 });
const expectation = fc.constantFrom("none", "none", "right", "wrong");
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
const owned = (model: Model, userId: string, chatId: string) => {
  const chat = model.get(chatId);
  return chat?.userId === userId ? chat : undefined;
};
const withChat = (model: Model, chatId: string, chat: ModelChat): Model => new Map(model).set(chatId, chat);
const without = (model: Model, isGone: (chat: ModelChat, id: string) => boolean): Model =>
  new Map([...model].filter(([id, chat]) => !isGone(chat, id)));
const versionFor = (kind: string, stored: number | undefined) =>
  ({ right: stored ?? 1, wrong: (stored ?? 0) + 1 })[kind];

/** A change of messages by who owns the chat: null for others, and for a message that is not there. */
function changed(
  model: Model,
  ids: { userId: string; chatId: string; messageId: string },
  expectedVersion: number | undefined,
  change: (chat: ModelChat, at: number) => UIMessage[] | string,
): Expected {
  const chat = owned(model, ids.userId, ids.chatId);
  const at = chat?.messages.findIndex(({ id }) => id === ids.messageId) ?? -1;
  if (!chat || at === -1) return { outcome: null, model };
  const messages = change(chat, at);
  if (typeof messages === "string") return { outcome: messages, model };
  if (same(messages, chat.messages)) return { outcome: chat.version, model };
  if (expectedVersion !== undefined && expectedVersion !== chat.version) return { outcome: "CHAT_CONFLICT", model };
  const next = { ...chat, messages, version: chat.version + 1 };
  return { outcome: next.version, model: withChat(model, ids.chatId, next) };
}

const steps: fc.Arbitrary<Step>[] = [
  fc.record({ userId, chatId, title: maybe(title), messages, expectation }).map(
    ({ expectation, ...save }): Step =>
      (store, model) => {
        const stored = model.get(save.chatId);
        const expectedVersion = versionFor(expectation, stored?.version);
        const expected = (): Expected => {
          if (stored && stored.userId !== save.userId) return { outcome: "CHAT_NOT_OWNED", model };
          const next = {
            ...(stored ?? { archived: false, version: 0 }),
            ...save,
            title: save.title ?? stored?.title ?? "",
          };
          if (stored && same([stored.title, stored.messages], [next.title, next.messages])) {
            return { outcome: stored.version, model };
          }
          if (expectedVersion !== undefined && expectedVersion !== stored?.version) {
            return { outcome: "CHAT_CONFLICT", model };
          }
          const { chatId, ...chat } = { ...next, version: next.version + 1 };
          return { outcome: chat.version, model: withChat(model, chatId, chat) };
        };
        return { call: store.upsertChat({ ...save, expectedVersion }), expected: expected() };
      },
  ),
  fc
    .record({
      ids: fc.record({ userId, chatId }),
      title: maybe(title),
      onlyIf: fc.constantFrom("always", "empty", "expected"),
      expectedTitle: title,
      archived: maybe(fc.boolean()),
      metadata: fc.constantFrom(undefined, null, { a: 1 }, ["\u0000"], false),
    })
    .map(
      ({ ids, title, onlyIf, expectedTitle, archived, metadata }): Step =>
        (store, model) => {
          const isExpected = onlyIf === "expected" && title !== undefined;
          const titles = {
            ...(onlyIf === "empty" ? { titleIfEmpty: title } : { title }),
            ...(isExpected && { expectedTitle }),
          };
          const given = { ...titles, archived, metadata };
          const chat = owned(model, ids.userId, ids.chatId);
          const expected = (): Expected => {
            if (Object.values(given).every((value) => value === undefined)) return { outcome: "INVALID_CHAT", model };
            if (!chat) return { outcome: null, model };
            const next = { ...chat, archived: archived ?? chat.archived };
            const wanted = onlyIf === "empty" ? "" : isExpected ? expectedTitle : chat.title;
            if (title !== undefined && chat.title === wanted) next.title = title;
            if (metadata === null) delete next.metadata;
            else if (metadata !== undefined) next.metadata = metadata;
            return { outcome: chat.version, model: withChat(model, ids.chatId, next) };
          };
          return { call: store.updateChat({ ...ids, ...given }), expected: expected() };
        },
    ),
  fc.record({ userId, chatId }).map(
    (ids): Step =>
      (store, model) => ({
        call: store.deleteChat(ids),
        expected: {
          outcome: owned(model, ids.userId, ids.chatId) !== undefined,
          model: without(model, ({ userId }, id) => userId === ids.userId && id === ids.chatId),
        },
      }),
  ),
  fc.record({ userId, chatId, newChatId: chatId, throughMessageId: maybe(messageId), title: maybe(title) }).map(
    (fork): Step =>
      (store, model) => {
        const chat = owned(model, fork.userId, fork.chatId);
        const end = chat?.messages.findIndex(({ id }) => id === fork.throughMessageId) ?? -1;
        const expected = (): Expected => {
          if (!chat || (fork.throughMessageId !== undefined && end === -1)) return { outcome: null, model };
          const taken = model.get(fork.newChatId);
          if (taken) return { outcome: taken.userId === fork.userId ? "CHAT_CONFLICT" : "CHAT_NOT_OWNED", model };
          const messages = fork.throughMessageId === undefined ? chat.messages : chat.messages.slice(0, end + 1);
          const copy = { ...chat, title: fork.title ?? chat.title, version: 1, archived: false, messages };
          delete copy.metadata;
          return { outcome: 1, model: withChat(model, fork.newChatId, copy) };
        };
        return { call: store.forkChat(fork), expected: expected() };
      },
  ),
  fc.record({ userId, chatId, message, expectation }).map(
    ({ expectation, ...update }): Step =>
      (store, model) => {
        const expectedVersion = versionFor(expectation, model.get(update.chatId)?.version);
        const ids = { ...update, messageId: update.message.id };
        const expected = changed(model, ids, expectedVersion, ({ messages }, at) =>
          messages[at]?.role === update.message.role ? messages.with(at, update.message) : "INVALID_CHAT",
        );
        return { call: store.updateMessage({ ...update, expectedVersion }), expected };
      },
  ),
  fc.record({ userId, chatId, messageId, following: maybe(fc.boolean()), expectation }).map(
    ({ expectation, ...gone }): Step =>
      (store, model) => {
        const expectedVersion = versionFor(expectation, model.get(gone.chatId)?.version);
        const expected = changed(model, gone, expectedVersion, ({ messages }, at) =>
          gone.following ? messages.slice(0, at) : messages.toSpliced(at, 1),
        );
        return { call: store.deleteMessage({ ...gone, expectedVersion }), expected };
      },
  ),
  fc.record({ fromUserId: userId, userId }).map(
    (claim): Step =>
      (store, model) => {
        const isTheirs = ({ userId }: ModelChat) => claim.fromUserId !== claim.userId && userId === claim.fromUserId;
        return {
          call: store.claimChats(claim),
          expected: {
            outcome: [...model.values()].filter(isTheirs).length,
            model: new Map(
              [...model].map(([id, chat]) => [id, isTheirs(chat) ? { ...chat, userId: claim.userId } : chat]),
            ),
          },
        };
      },
  ),
  fc.record({ userId }).map(
    ({ userId }): Step =>
      (store, model) => ({
        call: store.deleteAllChats({ userId }),
        expected: {
          outcome: [...model.values()].filter((chat) => chat.userId === userId).length,
          model: without(model, (chat) => chat.userId === userId),
        },
      }),
  ),
];
const weights = [8, 4, 1, 3, 4, 4, 1, 1];
const sequence = fc.array(fc.oneof(...steps.map((arbitrary, index) => ({ arbitrary, weight: weights[index] ?? 1 }))), {
  minLength: 5,
  maxLength: 25,
});

seeded();

describe.each(inModes(databases))("a chat store on $name, $mode", ({ open, storeOn }) => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await open();
  });
  afterAll(() => database.close());

  /** All that is stored, read past the store. */
  async function stored(): Promise<Model> {
    const chats = await database.query<Omit<ModelChat, "messages" | "metadata"> & { id: string; json: string | null }>(
      `select id, user_id "userId", title, version, archived_at is not null archived, metadata::text json from chat_store.chats`,
    );
    const messages = await database.query<{
      chatId: string;
      order: number;
      id: string;
      role: UIMessage["role"];
      parts: string;
      metadata: string | null;
    }>(
      `select chat_id "chatId", "order", id, role, parts::text, metadata::text from chat_store.messages order by chat_id, "order"`,
    );
    return new Map(
      chats.map(({ id, json, ...chat }) => {
        const own = messages.filter(({ chatId }) => chatId === id);
        expect(own.map(({ order }) => order)).toEqual(own.map((_, index) => index));
        const parsed = own.map(({ id, role, parts, metadata }) => ({
          ...{ id, role, parts: JSON.parse(parts) },
          ...(metadata === null ? {} : { metadata: JSON.parse(metadata) }),
        }));
        return [id, { ...chat, ...(json === null ? {} : { metadata: JSON.parse(json) }), messages: parsed }];
      }),
    );
  }

  async function expectReadBack(store: ChatStore, model: Model) {
    for (const userId of ["u", "v"]) {
      const theirs = [...model].filter(([, chat]) => chat.userId === userId);
      const exported = new Map<string, unknown>();
      for await (const { id, archivedAt, createdAt, updatedAt, ...chat } of store.exportChats({ userId })) {
        exported.set(id, { ...chat, archived: archivedAt !== null });
      }
      expect(exported).toEqual(new Map(theirs));
      for (const archived of [false, true]) {
        const listed = (await store.getChats({ userId, archived })).map(({ id }) => id);
        expect(listed.sort()).toEqual(theirs.flatMap(([id, chat]) => (chat.archived === archived ? [id] : [])).sort());
      }
    }
  }

  test("every call of a random sequence returns and stores the same as the model", async () => {
    const store = storeOn(database.db);
    const compare = fc.asyncProperty(sequence, async (steps) => {
      await database.query("delete from chat_store.chats");
      let model: Model = new Map();
      for (const step of steps) {
        const { call, expected } = step(store, model);
        const outcome = await call.then(
          (value) => (typeof value === "object" && value && "version" in value ? value.version : value),
          (error: { code?: string }) => error.code ?? error,
        );
        expect(outcome).toEqual(expected.outcome);
        model = expected.model;
        expect(await stored()).toEqual(model);
      }
      await expectReadBack(store, model);
    });
    await fc.assert(compare, { numRuns: Number(process.env.MODEL_RUNS ?? 10) });
  }, 900_000);
});

import { randomUUID } from "node:crypto";
import type { UIMessage } from "ai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Chat, ChatOwnershipError, type ChatStore, createChatStore } from "../src/index.ts";
import { type CapturedDatabase, openCaptured } from "./support/captured.ts";
import { conversation, say } from "./support/conversations.ts";
import { databases, inModes, modes, type TestDatabase } from "./support/databases.ts";
import { snapshot } from "./support/snapshot.ts";

/** Who asks, and for which chat. */
interface Ids {
  userId: string;
  chatId: string;
}

/**
 * One way to call a method.
 *
 * - reads: a chat of somebody else is as if it did not exist.
 * - creates: it makes a chat of an unknown id, so somebody else's has to be refused.
 * - changes: only what exists, of which somebody else's has to be refused.
 * - refuses everybody: what is wrong is wrong whosever the chat is.
 */
interface Call {
  title: string;
  kind: "reads" | "creates" | "changes" | "refuses everybody";
  call(store: ChatStore, ids: Ids, chat: Chat): Promise<unknown>;
  /** What the owner has done before. */
  prepare?(store: ChatStore, ids: Ids): Promise<unknown>;
}

const messages: UIMessage[] = [
  say("user", "the owner's words", "m0"),
  {
    id: "m1",
    role: "assistant",
    metadata: { of: "the owner" },
    parts: [{ type: "tool-remove", toolCallId: "t", state: "input-available", input: { file: "the owner's file" } }],
  },
];
const longMessages = [...messages, ...conversation(6, 2_000).slice(2)];
const answered: UIMessage = {
  id: "m1",
  role: "assistant",
  parts: [{ type: "tool-remove", toolCallId: "t", state: "output-available", input: {}, output: "forged" }],
};

const upsertChat = (title: string, input: (chat: Chat) => Partial<Parameters<ChatStore["upsertChat"]>[0]>): Call => ({
  title,
  kind: "creates",
  call: (store, ids, chat) => store.upsertChat({ ...ids, messages, ...input(chat) }),
});
const startTurn = (title: string, message: UIMessage, kind: Call["kind"] = "creates"): Call => ({
  title,
  kind,
  call: async (store, ids) => (await store.startTurn({ ...ids, title: "forged", message })).chat,
});

const updates = (title: string, change: Partial<Parameters<ChatStore["updateChat"]>[0]>): Call => ({
  title,
  kind: "reads",
  call: (store, ids) => store.updateChat({ ...ids, ...change }),
});

const ask = (store: ChatStore, ids: Ids) =>
  store.startTurn({ ...ids, message: say("user", "the owner's words", "m0") });
const speak = async (store: ChatStore, ids: Ids) => {
  const turn = await ask(store, ids);
  const stream = ReadableStream.from([`data: {"type":"start","messageId":"the owner's"}\n\n`]);
  await turn.consumeSseStream({ stream });
};
/** The branches of chats, which a stranger may have learned of. */
const branchIds = new Map<string, string>();
const editFirst = async (store: ChatStore, ids: Ids) => {
  await store.startTurn({ ...ids, message: say("user", "the owner's other words", "m0") });
  const [point] = await store.getBranches(ids);
  branchIds.set(ids.chatId, point?.branches[0]?.id ?? expect.fail("there is no branch"));
};
/** The first event of a stream, if there is one. */
async function beginning(resumed: Promise<ReadableStream<Uint8Array> | null>, { chatId }: Ids) {
  const reader = (await resumed)?.getReader();
  const first = await reader?.read();
  await reader?.cancel();
  return first && `${chatId}: ${new TextDecoder().decode(first.value)}`;
}
const stopped = async (stopping: Promise<boolean>, { chatId }: Ids) => (await stopping) && chatId;

/** Every method of the store. One that has no row here does not compile, and fails the first test. */
const matrix: Record<keyof ChatStore, Call[]> = {
  upsertChat: [
    upsertChat("as it is", () => ({})),
    {
      ...upsertChat("as it is, expecting its version", ({ version }) => ({ expectedVersion: version })),
      kind: "changes",
    },
    upsertChat("a longer conversation", () => ({ messages: [...messages, say("user", "forged", "m2")] })),
    upsertChat("a shorter conversation", () => ({ messages: messages.slice(0, 1) })),
    upsertChat("nothing", () => ({ messages: [] })),
    upsertChat("other words", () => ({ messages: [say("user", "forged", "m0"), ...messages.slice(1)] })),
    upsertChat("a conversation too long for one statement", () => ({ messages: longMessages })),
    upsertChat("a new title", () => ({ title: "forged" })),
    {
      ...upsertChat("the messages after a message", () => ({ after: "m0", messages: [say("user", "forged", "m2")] })),
      kind: "reads",
    },
    {
      ...upsertChat("the messages after a message, expecting its version", ({ version }) => ({
        after: "m0",
        messages: [],
        expectedVersion: version,
      })),
      kind: "reads",
    },
  ],
  getChat: [{ title: "the chat", kind: "reads", call: (store, ids) => store.getChat(ids) }],
  getChats: [
    { title: "all", kind: "reads", call: (store, { userId }) => store.getChats({ userId }) },
    {
      title: "all, and the archived ones",
      kind: "reads",
      prepare: (store, ids) => store.updateChat({ ...ids, archived: true }),
      call: async (store, { userId }) => [
        ...(await store.getChats({ userId })),
        ...(await store.getChats({ userId, archived: true })),
      ],
    },
    {
      title: "the page after a chat",
      kind: "reads",
      call: (store, { userId, chatId }, { updatedAt }) =>
        store.getChats({ userId, limit: 5, before: { id: chatId, updatedAt: new Date(updatedAt.getTime() + 1) } }),
    },
  ],
  searchChats: [
    {
      title: "titles",
      kind: "reads",
      call: (store, { userId }) => store.searchChats({ userId, query: "owner's title" }),
    },
    {
      title: "words",
      kind: "reads",
      call: (store, { userId }) => store.searchChats({ userId, query: "owner's words" }),
    },
  ],
  getMessages: [
    { title: "the last page", kind: "reads", call: (store, ids) => store.getMessages({ ...ids, limit: 1 }) },
    {
      title: "the page before a message",
      kind: "reads",
      call: (store, ids) => store.getMessages({ ...ids, limit: 1, before: "m1" }),
    },
  ],
  updateChat: [
    updates("its title", { title: "the owner's title" }),
    updates("its title, if it has none", { titleIfEmpty: "forged" }),
    updates("its title, in place of that one", { title: "forged", expectedTitle: "the owner's title" }),
    updates("its archiving", { archived: true }),
    updates("its metadata", { metadata: { forged: true } }),
    updates("nothing new", { archived: false }),
  ],
  deleteChat: [
    {
      title: "the chat",
      kind: "reads",
      call: async (store, ids) => ((await store.deleteChat(ids)) ? ids.chatId : false),
    },
  ],
  forkChat: [
    {
      title: "all of it",
      kind: "reads",
      call: (store, ids) => store.forkChat({ ...ids, newChatId: `${ids.chatId} fork` }),
    },
    {
      title: "a part of it",
      kind: "reads",
      call: (store, ids) => store.forkChat({ ...ids, newChatId: `${ids.chatId} fork`, throughMessageId: "m0" }),
    },
  ],
  updateMessage: [
    {
      title: "other words",
      kind: "reads",
      call: (store, ids) => store.updateMessage({ ...ids, message: say("user", "forged", "m0") }),
    },
    {
      title: "as it is",
      kind: "reads",
      call: (store, ids) => store.updateMessage({ ...ids, message: messages[0] ?? expect.fail() }),
    },
    {
      title: "expecting its version",
      kind: "reads",
      call: (store, ids, { version }) =>
        store.updateMessage({ ...ids, message: say("user", "forged", "m0"), expectedVersion: version }),
    },
  ],
  deleteMessage: [
    { title: "one", kind: "reads", call: (store, ids) => store.deleteMessage({ ...ids, messageId: "m0" }) },
    {
      title: "one and the messages after it",
      kind: "reads",
      call: (store, ids) => store.deleteMessage({ ...ids, messageId: "m0", following: true }),
    },
    {
      title: "expecting its version",
      kind: "reads",
      call: (store, ids, { version }) => store.deleteMessage({ ...ids, messageId: "m1", expectedVersion: version }),
    },
  ],
  getBranches: [
    {
      title: "all",
      kind: "reads",
      prepare: editFirst,
      call: async (store, ids) => ((await store.getBranches(ids)).length > 0 ? ids.chatId : "none"),
    },
  ],
  switchBranch: [
    {
      title: "to the one there is",
      kind: "reads",
      prepare: editFirst,
      call: (store, ids) => store.switchBranch({ ...ids, branchId: branchIds.get(ids.chatId) ?? randomUUID() }),
    },
    {
      title: "expecting its version",
      kind: "reads",
      prepare: editFirst,
      call: (store, ids, { version }) =>
        store.switchBranch({
          ...ids,
          branchId: branchIds.get(ids.chatId) ?? randomUUID(),
          expectedVersion: version + 1,
        }),
    },
  ],
  claimChats: [
    {
      title: "the caller's own, for another user",
      kind: "reads",
      call: async (store, { userId, chatId }) => {
        const heir = `heir of ${userId}`;
        const count = await store.claimChats({ fromUserId: userId, userId: heir });
        return { count, chat: await store.getChat({ userId: heir, chatId }) };
      },
    },
  ],
  deleteAllChats: [
    {
      title: "all",
      kind: "reads",
      call: async (store, { userId, chatId }) => ((await store.deleteAllChats({ userId })) ? chatId : 0),
    },
  ],
  exportChats: [
    {
      title: "all",
      kind: "reads",
      call: async (store, { userId }) => {
        const exported: unknown[] = [];
        for await (const chat of store.exportChats({ userId })) exported.push(chat);
        return exported;
      },
    },
  ],
  startTurn: [
    startTurn("with a new question", say("user", "forged", "new")),
    {
      title: "with a new question in a window",
      kind: "creates",
      call: async (store, ids) => {
        const { chat, messages } = await store.startTurn({ ...ids, message: say("user", "forged", "new"), limit: 2 });
        return { chat, messages };
      },
    },
    startTurn("with an edited question", say("user", "forged", "m0")),
    startTurn("with the answer to a tool call", answered, "refuses everybody"),
    startTurn("with a message of the server's", say("system", "forged", "new"), "refuses everybody"),
  ],
  resumeTurn: [
    {
      title: "the running turn",
      kind: "reads",
      prepare: speak,
      call: (store, ids) => beginning(store.resumeTurn(ids), ids),
    },
    {
      title: "a newer version",
      kind: "reads",
      prepare: (store, ids) => store.upsertChat({ ...ids, title: "newer", messages }),
      call: (store, ids) => beginning(store.resumeTurn({ ...ids, version: 1 }), ids),
    },
  ],
  stopTurn: [
    {
      title: "the running turn",
      kind: "reads",
      prepare: ask,
      call: async (store, ids) => stopped(store.stopTurn(ids), ids),
    },
    {
      title: "the turn of a message",
      kind: "reads",
      prepare: ask,
      call: (store, ids) => stopped(store.stopTurn({ ...ids, messageId: "m0" }), ids),
    },
  ],
};
const calls = Object.entries(matrix).flatMap(([method, calls]) => calls.map((call) => ({ method, ...call })));

/** All that a caller can tell of a call: its value, or the error with everything it carries but the library's own lines. */
async function outcomeOf(work: Promise<unknown>, { userId, chatId }: Ids): Promise<unknown> {
  const outcome = await work.then(
    (value) => ({ value }),
    (error: unknown) => {
      if (!(error instanceof Error)) throw error;
      const { name, message } = error;
      return { thrown: { ...error, class: error.constructor.name, name, message, cause: error.cause } };
    },
  );
  return JSON.parse(JSON.stringify(outcome).replaceAll(userId, "USER").replaceAll(chatId, "CHAT"));
}

test("the matrix has a row for every method, and only for those", async () => {
  const { db, close } = await openCaptured();
  expect(Object.keys(matrix).sort()).toEqual(Object.keys(createChatStore(db)).sort());
  await close();
});

describe.each(inModes(databases))("a chat store on $name, $mode", ({ open, storeOn }) => {
  let database: TestDatabase;
  let store: ChatStore;
  beforeAll(async () => {
    database = await open();
    store = storeOn(database.db, { branches: true });
  });
  afterAll(() => database.close());

  const newIds = () => ({ userId: `user ${randomUUID()}`, chatId: `chat ${randomUUID()}` });
  const newChat = async () => {
    const { userId, chatId } = newIds();
    return store.upsertChat({ userId, chatId, title: "the owner's title", messages });
  };
  const strangerTo = (chat: Chat): Ids => ({ userId: newIds().userId, chatId: chat.id });

  test.each(calls)("$method ($title) shows a stranger nothing and writes nothing", async ({ call, kind, prepare }) => {
    const chat = await newChat();
    await prepare?.(store, { userId: chat.userId, chatId: chat.id });
    const [one, other, unknown] = [strangerTo(chat), strangerTo(chat), newIds()];
    const before = await snapshot(database);
    const [toOne, toOther] = [
      await outcomeOf(call(store, one, chat), one),
      await outcomeOf(call(store, other, chat), other),
    ];
    expect(await snapshot(database)).toEqual(before);
    expect(toOther).toEqual(toOne);
    expect(JSON.stringify(toOne)).not.toContain("owner's");
    expect(JSON.stringify(toOne)).not.toContain(chat.userId);

    if (kind === "creates" || kind === "changes") {
      const { message } = new ChatOwnershipError({ chatId: "CHAT" });
      expect(toOne).toEqual({
        thrown: {
          class: "ChatOwnershipError",
          name: "ChatOwnershipError",
          code: "CHAT_NOT_OWNED",
          chatId: "CHAT",
          message,
        },
      });
    } else {
      // For who does not own it, a chat that is there and one that is not are the same.
      expect(toOne).toEqual(await outcomeOf(call(store, unknown, chat), unknown));
      expect(await snapshot(database)).toEqual(before);
    }
  });

  test.each(calls)(
    "$method ($title) lets the owner through, and under an unknown id creates only a chat of the caller",
    async ({ call, kind, prepare }) => {
      const chat = await newChat();
      await prepare?.(store, { userId: chat.userId, chatId: chat.id });
      const outcome = await outcomeOf(call(store, { userId: chat.userId, chatId: chat.id }, chat), newIds());
      if (kind !== "refuses everybody") expect(JSON.stringify(outcome)).toContain(chat.id);

      const unknown = newIds();
      await outcomeOf(call(store, unknown, chat), unknown);
      const created = await database.query("select user_id from chat_store.chats where id = $1", [unknown.chatId]);
      expect(created).toEqual(kind === "creates" ? [{ user_id: unknown.userId }] : []);
    },
  );

  test.each([undefined, 1, 2, 3, 2_147_483_647])(
    "upsertChat refuses a stranger in the same way for the expected version %s",
    async (expectedVersion) => {
      const { userId, id } = await newChat();
      const chat = await store.upsertChat({ userId, chatId: id, messages: messages.slice(0, 1) });
      const before = await snapshot(database);
      for (const saved of [messages, messages.slice(0, 1), longMessages, []]) {
        const ids = strangerTo(chat);
        expect(await outcomeOf(store.upsertChat({ ...ids, messages: saved, expectedVersion }), ids)).toMatchObject({
          thrown: { code: "CHAT_NOT_OWNED" },
        });
      }
      expect(await snapshot(database)).toEqual(before);
    },
  );

  test.each([
    ["was given to another user", ["update chat_store.chats set user_id = $2, version = version + 1 where id = $1"]],
    [
      "was deleted, and its id taken by another user",
      [
        "delete from chat_store.chats where id = $1 and user_id <> $2",
        "insert into chat_store.chats (id, user_id, title) values ($1, $2, '')",
      ],
    ],
  ])("a turn whose chat %s does not store its answer", async (_, statements) => {
    const { userId, id } = await newChat();
    const turn = await store.startTurn({ userId, chatId: id, message: say("user", "And?") });
    const heir = newIds().userId;
    for (const statement of statements) await database.query(statement, [id, heir]);
    const before = await snapshot(database);
    // As if there were no such chat any more.
    await expect(turn.persist.onEnd({ responseMessage: say("assistant", "Late") })).rejects.toMatchObject({
      code: "CHAT_CONFLICT",
      actualVersion: null,
    });
    expect(await snapshot(database)).toEqual(before);
  });
});

describe.each(modes)("the statements of the store, $mode", ({ storeOn }) => {
  let database: CapturedDatabase;
  beforeAll(async () => {
    database = await openCaptured();
  });
  afterAll(() => database.close());

  test.each(calls)("$method ($title) sends the same for another user's chat as for none", async ({ call, kind }) => {
    const store = storeOn(database.db, { branches: true });
    const chat = await store.upsertChat({ userId: randomUUID(), chatId: randomUUID(), title: "Tides", messages });
    const asked = async (chatId: string) => {
      const { statements, bytesSent } = await database.capture(() =>
        call(store, { userId: randomUUID(), chatId }, chat),
      );
      return {
        texts: statements.map(({ text }) => text),
        values: statements.map(({ values }) => values.length),
        bytesSent,
      };
    };
    const [foreign, missing] = [await asked(chat.id), await asked(randomUUID())];
    expect(foreign.texts.length).toBeGreaterThan(0);
    if (kind === "creates" || kind === "changes") {
      // That an id is taken cannot be hidden from who creates a chat under it: what is asked is the same until it shows.
      // Only when creating it has been refused, is it asked whose it is.
      const creates = foreign.texts.findIndex((text) => text.includes('insert into "chat_store"."chats"'));
      const untilRefused = creates === -1 ? foreign.texts : foreign.texts.slice(0, creates + 1);
      expect(missing.texts.slice(0, untilRefused.length)).toEqual(untilRefused);
    } else expect(missing).toEqual(foreign);
  });
});

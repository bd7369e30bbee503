import { isDeepStrictEqual } from "node:util";
import type { UIMessage } from "ai";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type ChatDatabase, type ChatStore, ChatStoreError, createChatStore } from "../src/index.ts";
import { type CapturedDatabase, openCaptured, type Statement } from "./support/captured.ts";
import { conversation, say } from "./support/conversations.ts";
import { modes } from "./support/databases.ts";
import { snapshot } from "./support/snapshot.ts";

const [owner, stranger] = ["the owner", "the stranger"];
const chat = { userId: owner, chatId: "chat" };
const size = 400;
/** What is stored of a chat, and whose it is. */
const secret = /secret words|message \d|title of|the owner|the stranger/;
const pendingTool: UIMessage = {
  id: "tool",
  role: "assistant",
  parts: [{ type: "tool-remove", toolCallId: "t", state: "input-available", input: { file: "secret words" } }],
};
const messages = [...conversation(6, size), say("user", "secret words", "last"), pendingTool];
const added = (count: number) =>
  Array.from({ length: count }, (_, index) => say("user", "new ".repeat(100), `n${index}`));

/** What `startTurn` gives is used up too: its answer is part of the step. */
const turn = async (store: ChatStore, message: UIMessage, chatId = chat.chatId, limit?: number) => {
  const { persist } = await store.startTurn({ userId: owner, chatId, title: "New", message, limit });
  await persist.onEnd({
    responseMessage: { ...say("assistant", "An answer", "answer"), ...(message.role === "assistant" ? message : {}) },
  });
};

const approved: UIMessage = {
  id: "approved",
  role: "assistant",
  parts: [
    {
      type: "tool-remove",
      toolCallId: "a",
      state: "approval-responded",
      input: { file: "secret words" },
      approval: { id: "p", approved: true },
    },
  ],
};
const switchToFirst = async (store: ChatStore) => {
  const [point] = await store.getBranches(chat);
  expect(await store.switchBranch({ ...chat, branchId: point?.branches[0]?.id ?? expect.fail() })).not.toBeNull();
};

/** SQL of the test's own, which is not looked at. */
type Query = CapturedDatabase["query"];

/** A turn whose stream is recorded until its server dies. */
const speak = async (store: ChatStore) => {
  const running = await store.startTurn({ ...chat, message: say("user", "And?", "question") });
  const events = [
    { type: "start", messageId: running.persist.generateMessageId() },
    { type: "text-start", id: "1" },
    { type: "text-delta", id: "1", delta: "secret words" },
  ];
  const stream = ReadableStream.from(events.map((event) => `data: ${JSON.stringify(event)}\n\n`));
  await running.consumeSseStream({ stream });
  return running;
};
const read = async (stream: ReadableStream<Uint8Array> | null) => {
  const reader = stream?.getReader();
  await reader?.read();
  await reader?.cancel();
};

/** Everything a store can be made to do to the one chat, or to a new one. */
const steps: Record<string, (store: ChatStore, db: ChatDatabase, query: Query) => Promise<unknown>> = {
  "creates a chat": (store) => store.upsertChat({ ...chat, chatId: "new", title: "New", messages: added(1) }),
  "creates a long chat": (store) => store.upsertChat({ ...chat, chatId: "new", messages: added(20) }),
  "saves it as it is": (store) => store.upsertChat({ ...chat, messages }),
  "renames it": (store) => store.upsertChat({ ...chat, title: "New", messages }),
  "appends one": (store) => store.upsertChat({ ...chat, messages: [...messages, ...added(1)] }),
  "appends many": (store) => store.upsertChat({ ...chat, messages: [...messages, ...added(5)] }),
  "replaces the last": (store) => store.upsertChat({ ...chat, messages: [...messages.slice(0, -1), ...added(1)] }),
  "edits the first": (store) => store.upsertChat({ ...chat, messages: messages.with(0, say("user", "edited", "m0")) }),
  "reorders all": (store) => store.upsertChat({ ...chat, messages: messages.toReversed() }),
  "removes the first": (store) => store.upsertChat({ ...chat, messages: messages.slice(1) }),
  "exchanges all": (store) => store.upsertChat({ ...chat, messages: added(20) }),
  "empties it": (store) => store.upsertChat({ ...chat, messages: [] }),
  "saves from a stale copy": (store) => store.upsertChat({ ...chat, messages: added(1), expectedVersion: 7 }),
  "saves a chat that is gone": (store) => store.upsertChat({ ...chat, chatId: "new", messages, expectedVersion: 1 }),
  "is refused for a stranger": (store) => store.upsertChat({ ...chat, userId: stranger, messages: added(1) }),
  "saves the messages after a message": (store) =>
    store.upsertChat({ ...chat, after: "m3", messages: added(1), title: "New" }),
  "saves the messages after a message as they are": (store) =>
    store.upsertChat({ ...chat, after: "m3", messages: messages.slice(4) }),
  "saves the messages after a message from a stale copy": (store) =>
    store.upsertChat({ ...chat, after: "m3", messages: added(1), expectedVersion: 7 }),
  "asks a new question in a window": (store) => turn(store, say("user", "And?", "question"), undefined, 2),
  "edits a question outside the window": (store) => turn(store, say("user", "edited", "m0"), undefined, 1),
  "asks a question outside the window again": (store) => turn(store, messages[0] ?? expect.fail(), undefined, 1),
  "continues an answer in a window": (store) => turn(store, pendingTool, undefined, 1),
  "asks a new question": (store) => turn(store, say("user", "And?", "question")),
  "asks the first question of a new chat": (store) => turn(store, say("user", "And?", "question"), "new"),
  "edits a question": (store) => turn(store, say("user", "edited", "m2")),
  "asks a question again": (store) => turn(store, messages[2] ?? expect.fail()),
  "continues an answer": (store) => turn(store, pendingTool),
  "answers after another question": async (store) => {
    const { persist } = await store.startTurn({ ...chat, message: say("user", "And?", "question") });
    await store.startTurn({ ...chat, message: say("user", "And also?", "second question") });
    await persist.onEnd({ responseMessage: say("assistant", "An answer", "answer") });
  },
  "records an answer and ends it": async (store) => {
    const running = await speak(store);
    await running.persist.onEnd({ responseMessage: say("assistant", "secret words", "answer") });
  },
  "leaves the recording to others when its answer cannot be saved": async (store) => {
    const running = await speak(store);
    // Under the id of another message.
    await expect(running.persist.onEnd({ responseMessage: say("assistant", "An answer", "m1") })).rejects.toThrow();
  },
  "shows an answer that is being recorded": async (store) => {
    await speak(store);
    await read(await store.resumeTurn(chat));
  },
  "shows the messages stored since": async (store) => {
    await store.upsertChat({ ...chat, title: "New", messages });
    await read(await store.resumeTurn({ ...chat, version: 1 }));
  },
  "shows the answer of a dead server": async (store, _, query) => {
    await speak(store);
    await query("update chat_store.turns set beat_at = 'epoch'");
    await read(await store.resumeTurn(chat));
  },
  "asks after a server has died": async (store, _, query) => {
    await speak(store);
    await query("update chat_store.turns set beat_at = 'epoch'");
    await turn(store, say("user", "And now?", "second question"));
  },
  "stops an answer": async (store) => {
    await speak(store);
    await store.stopTurn({ ...chat, messageId: "question" });
  },
  "asks a question again, and keeps the answer as a branch": (store) => turn(store, messages[2] ?? expect.fail()),
  "edits a question, and keeps what followed as a branch": (store) => turn(store, say("user", "edited", "m2")),
  "edits a question in a window, and keeps it as a branch": (store) =>
    turn(store, say("user", "edited", "m2"), undefined, 1),
  "lists its branches": async (store) => {
    await turn(store, say("user", "edited", "m2"));
    return store.getBranches(chat);
  },
  "switches to a branch": async (store) => {
    await turn(store, say("user", "edited", "m2"));
    await switchToFirst(store);
  },
  "switches to a branch with an approval on which no turn has acted": async (store) => {
    await store.upsertChat({ ...chat, messages: [...messages, say("user", "secret words", "m8"), approved] });
    await turn(store, say("user", "edited", "m8"));
    await switchToFirst(store);
  },
  "switches to a branch while an answer is generated": async (store) => {
    await turn(store, say("user", "edited", "m2"));
    await store.startTurn({ ...chat, message: say("user", "And?", "question") });
    await switchToFirst(store);
  },
  "reads the last messages, with branches": async (store) => {
    await turn(store, say("user", "edited", "m2"));
    return store.getMessages({ ...chat, limit: 2 });
  },
  "deletes a message with the branches behind it": async (store) => {
    await turn(store, say("user", "edited", "m2"));
    await store.deleteMessage({ ...chat, messageId: "m1" });
  },
  "saves without a message, and without the branches behind it": async (store) => {
    await turn(store, say("user", "edited", "m2"));
    await store.upsertChat({ ...chat, messages: messages.slice(0, 1) });
  },
  "exports all chats, with their branches": async (store) => {
    await turn(store, say("user", "edited", "m2"));
    for await (const { userId } of store.exportChats({ userId: owner })) expect(userId).toBe(owner);
  },
  "reads it": (store) => store.getChat(chat),
  "reads a missing chat": (store) => store.getChat({ ...chat, chatId: "new" }),
  "reads the last messages": (store) => store.getMessages({ ...chat, limit: 2 }),
  "reads the messages before": (store) => store.getMessages({ ...chat, limit: 2, before: "m3" }),
  searches: (store) => store.searchChats({ userId: owner, query: "secret" }),
  "searches the next page": async (store) => {
    const first = await store.searchChats({ userId: owner, query: "secret", limit: 1 });
    return store.searchChats({ userId: owner, query: "secret", cursor: first.cursor ?? expect.fail() });
  },
  "lists all chats": (store) => store.getChats({ userId: owner }),
  "lists a page": async (store) => {
    const first = await store.getChats({ userId: owner, limit: 1 });
    return store.getChats({ userId: owner, limit: 1, before: first.at(-1) });
  },
  "lists archived chats": async (store) => {
    await store.updateChat({ ...chat, archived: true });
    return store.getChats({ userId: owner, archived: true });
  },
  "updates its title and metadata": (store) => store.updateChat({ ...chat, title: "New", metadata: { a: 1 } }),
  "gives it a title if it has none": (store) => store.updateChat({ ...chat, titleIfEmpty: "New" }),
  "replaces the title that it expects": (store) => store.updateChat({ ...chat, title: "New", expectedTitle: "Old" }),
  "updates nothing": (store) => store.updateChat({ ...chat, archived: false }),
  "deletes it": (store) => store.deleteChat(chat),
  "forks it": (store) => store.forkChat({ ...chat, newChatId: "new" }),
  "forks a part of it": (store) => store.forkChat({ ...chat, newChatId: "new", throughMessageId: "m2" }),
  "forks it under an id that is taken": (store) => store.forkChat({ ...chat, newChatId: "older chat" }),
  "forks it under an id that another user has": (store) => store.forkChat({ ...chat, newChatId: "another chat" }),
  "changes a message": (store) => store.updateMessage({ ...chat, message: say("user", "edited", "m2") }),
  "changes a message without a difference": (store) =>
    store.updateMessage({ ...chat, message: messages[2] ?? expect.fail() }),
  "changes a message of a stale copy": (store) =>
    store.updateMessage({ ...chat, message: say("user", "edited", "m2"), expectedVersion: 7 }),
  "deletes a message": (store) => store.deleteMessage({ ...chat, messageId: "m2" }),
  "deletes a message and the ones after it": (store) =>
    store.deleteMessage({ ...chat, messageId: "m2", following: true }),
  "deletes the question of a running turn": async (store) => {
    await store.startTurn({ ...chat, message: say("user", "And?", "question") });
    await store.deleteMessage({ ...chat, messageId: "question" });
  },
  "gives all chats away": (store) => store.claimChats({ fromUserId: owner, userId: "the heir" }),
  "answers after all chats were given away": async (store) => {
    const running = await speak(store);
    await store.claimChats({ fromUserId: owner, userId: "the heir" });
    await running.persist.onEnd({ responseMessage: say("assistant", "An answer", "answer") });
  },
  "leaves the recording to the new owner": async (store) => {
    const running = await speak(store);
    await store.claimChats({ fromUserId: owner, userId: "the heir" });
    await expect(running.persist.onEnd({ responseMessage: say("assistant", "An answer", "m1") })).rejects.toThrow();
  },
  "deletes all chats": (store) => store.deleteAllChats({ userId: owner }),
  "exports all chats": async (store) => {
    for await (const { userId } of store.exportChats({ userId: owner })) expect(userId).toBe(owner);
  },
  "saves in a transaction of the application's": (_, db) =>
    db.transaction((tx) => createChatStore(tx).upsertChat({ ...chat, messages: messages.toReversed() })),
};

/** How the steps end that do not succeed. */
const refusals: Record<string, string> = {
  "saves from a stale copy": "CHAT_CONFLICT",
  "saves a chat that is gone": "CHAT_CONFLICT",
  "is refused for a stranger": "CHAT_NOT_OWNED",
  "forks it under an id that is taken": "CHAT_CONFLICT",
  "forks it under an id that another user has": "CHAT_NOT_OWNED",
  "changes a message of a stale copy": "CHAT_CONFLICT",
  "saves the messages after a message from a stale copy": "CHAT_CONFLICT",
};
/** Steps whose statements find nothing, whoever sends them. */
const findsNothing = ["saves a chat that is gone", "is refused for a stranger", "reads a missing chat"];

/** The statement takes only what is this user's: it compares with the user's id, or creates a chat under it where there is none. */
const comparesOwner = ({ text, values }: Statement, userId: string) =>
  [
    ...text.matchAll(/"user_id" = \$(\d+)/g),
    ...text.matchAll(
      /^(?:with written_chat as \()?insert into "chat_store"\."chats" \(id, user_id, title\) values \(\$1, \$(2), .* do nothing/g,
    ),
  ].some(([, number]) => values[Number(number) - 1] === userId);

/** From here on, until the transaction ends, nobody else changes that chat or makes one under its id. */
const locksChat = ({ text }: Statement) => /^(insert into|update) "chat_store"\."chats" | for update$/.test(text);

describe.each(modes)("the statements of the store, $mode", ({ storeOn }) => {
  let database: CapturedDatabase;
  beforeAll(async () => {
    database = await openCaptured();
  });
  afterAll(() => database.close());

  /** Two chats of the owner's, and a stranger's that holds messages of the same ids. */
  const reset = async () => {
    await database.query("delete from chat_store.chats");
    const store = createChatStore(database.db);
    for (const [userId, chatId] of [
      [stranger, "another chat"],
      [owner, "older chat"],
      [owner, "chat"],
    ] as const) {
      await store.upsertChat({ userId, chatId, title: `title of ${userId}`, messages });
    }
  };
  beforeEach(reset);

  test("the steps together call every method", async () => {
    const called = new Set<string>();
    for (const step of Object.values(steps)) {
      const { db } = database;
      const watch = (store: ChatStore) =>
        new Proxy(store, { get: (_, key: keyof ChatStore) => called.add(key) && store[key] });
      await step(watch(storeOn(db)), db, database.query).catch(() => {});
      await reset();
    }
    expect([...called].sort()).toEqual(Object.keys(storeOn(database.db)).sort());
  });

  test.each(Object.entries(steps))(
    "a store that %s names the user in its statements, and they find nothing for another user",
    async (name, step) => {
      const userId = name.includes("stranger") ? stranger : owner;
      const store = storeOn(database.db, { branches: name.includes("branch") });
      const { statements, outcome } = await database.capture(() => step(store, database.db, database.query));
      expect(ChatStoreError.isInstance(outcome) ? outcome.code : outcome).toEqual(
        refusals[name] ?? expect.not.objectContaining({ name: expect.stringContaining("Error") }),
      );

      let locked: unknown;
      const owned: Statement[] = [];
      for (const statement of statements) {
        const { text, values } = statement;
        if (/^(begin|commit|rollback)/.test(text)) locked = undefined;
        if (!/\b(chats|messages|turns|turn_chunks|branches)\b/.test(text)) continue;
        // Without the option, nothing is paid for branches.
        if (!name.includes("branch")) expect(text).not.toContain("branches");
        // However it is laid out in the source.
        expect(text).not.toMatch(/\n|--/);
        if (comparesOwner(statement, userId)) {
          owned.push(statement);
          if (locksChat(statement)) locked = values[Number(/chats"?\."?id"? = \$(\d+)/.exec(text)?.[1] ?? 1) - 1];
        } else {
          // Of messages or turns only, and only of the chat that the lock before it, in the same transaction, found to be the user's.
          expect(locked, text).toBeDefined();
          expect(text).not.toMatch(/"chats"/);
          expect(text).toMatch(
            /\bchat_id"? = \$\d+|^insert into "chat_store"\."(messages|turns|branches)" \(chat_id, /,
          );
          expect(values).toContain(locked);
        }
      }
      expect(owned).not.toEqual([]);

      // Once more on what the step left, and on what it found.
      const differs = [await replay(owned, userId)];
      await reset();
      differs.push(await replay(owned, userId));
      if (!findsNothing.includes(name)) expect(differs).toContain(true);
    },
  );

  /**
   * Runs statements once more, each as if another user had sent it, and takes it back.
   * @returns whether it makes a difference which of the two users it is.
   */
  async function replay(statements: Statement[], userId: string) {
    let differs = false;
    for (const { text, values } of statements) {
      const before = await snapshot(database);
      const runAs = async (user: string) => {
        await database.query("begin");
        const rows = await database.query(
          text,
          values.map((value) => (value === userId ? user : value)),
        );
        const after = await snapshot(database);
        await database.query("rollback");
        return { rows: JSON.stringify(rows), after };
      };

      const { rows, after } = await runAs("nobody");
      expect(rows).not.toMatch(secret);
      // A statement that creates a chat does so for anybody.
      const mine = new Set(after.chats.filter(({ user_id }) => user_id === "nobody").map(({ id }) => id));
      expect(after.chats.filter(({ id }) => !mine.has(id))).toEqual(before.chats);
      for (const table of ["messages", "turns", "turnChunks", "branches"] as const) {
        expect(after[table].filter(({ chat_id }) => !mine.has(chat_id))).toEqual(before[table]);
      }
      const asBefore = await runAs(userId);
      differs ||= asBefore.rows !== rows || !isDeepStrictEqual(asBefore.after, after);
    }
    return differs;
  }
});

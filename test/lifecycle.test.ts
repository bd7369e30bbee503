// Projects: main, drivers, tables, citus. Long: postgres, drizzle, sessions, node.
import { randomUUID } from "node:crypto";
import type { UIMessage } from "ai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ChatConflictError, ChatOwnershipError, type ChatStore, InvalidChatError, type Turn } from "../src/index.ts";
import { conversation, say } from "./support/conversations.ts";
import { embedded, isOnCitus, type TestDatabase } from "./support/databases.ts";
import { kinds } from "./support/kinds.ts";

type Ids = { userId: string; chatId: string };

describe.each([...kinds, ...embedded])("the life of a chat on $name, $mode", ({ open, storeOn, transactions }) => {
  let database: TestDatabase;
  let store: ChatStore;
  beforeAll(async () => {
    database = await open();
    store = storeOn(database.db);
  });
  afterAll(() => database.close());

  const newIds = (): Ids => ({ userId: `user ${randomUUID()}`, chatId: `chat ${randomUUID()}` });
  const strangerTo = ({ chatId }: Ids): Ids => ({ ...newIds(), chatId });
  const newChat = async (messages: UIMessage[] = conversation(6, 300), title = "Tides") => {
    const ids = newIds();
    const chat = await store.upsertChat({ ...ids, title, messages });
    // In the past, so that what moves it shows.
    const { updatedAt } = { updatedAt: new Date("2026-01-01T00:00:00.123Z") };
    await database.query("update chat_store.chats set updated_at = $2 where id = $1", [ids.chatId, updatedAt]);
    return { ids, chat: { ...chat, updatedAt } };
  };

  /** All that is stored of a chat, read past the store. */
  const stored = async ({ chatId }: Pick<Ids, "chatId">) => ({
    chats: await database.query(
      `select id, user_id, title, version, created_at::text, updated_at::text, archived_at::text, metadata::text,
              claimed_from, xmin::text from chat_store.chats where id = $1`,
      [chatId],
    ),
    messages: await database.query(
      `select id, "order", role, parts::text, metadata::text, created_at::text, xmin::text
       from chat_store.messages where chat_id = $1 order by "order"`,
      [chatId],
    ),
    turns: await database.query(
      "select id::text, question_id, superseded, stop, ended_at is not null ended from chat_store.turns where chat_id = $1 order by id",
      [chatId],
    ),
  });
  const storedOrder = async (ids: Ids) => (await stored(ids)).messages.map(({ id, order }) => [id, order]);

  /** What nobody who asks for it may see or change. */
  const expectNothingFor = async (work: Promise<unknown>, nothing: unknown, { chatId }: Ids, before: unknown) => {
    expect(await work).toEqual(nothing);
    expect(await stored({ chatId })).toEqual(before);
  };

  describe("updateChat", () => {
    test("updateChat renames, archives and sets metadata, and changes nothing else", async () => {
      const { ids, chat } = await newChat();
      const { messages } = await stored(ids);
      const metadata = { folder: "Sea", pinned: true, "a \u0000 key": ['"', "\\", null] };

      expect(await store.updateChat({ ...ids, title: "Moon" })).toEqual({ ...chat, title: "Moon" });
      const archived = await store.updateChat({ ...ids, archived: true, metadata });
      expect(archived).toEqual({ ...chat, title: "Moon", archivedAt: expect.any(Date), metadata });
      expect(Math.abs(Date.now() - Number(archived?.archivedAt))).toBeLessThan(60_000);
      expect(await store.getChat(ids)).toEqual({ ...archived, messages: conversation(6, 300) });

      expect(await store.updateChat({ ...ids, archived: false, metadata: null })).toStrictEqual({
        ...chat,
        title: "Moon",
      });
      expect((await stored(ids)).messages).toEqual(messages);
      expect((await stored(ids)).chats).toMatchObject([
        { title: "Moon", version: 1, archived_at: null, metadata: null },
      ]);
    });

    test("updateChat without changes writes nothing, and still returns the chat", async () => {
      const { ids } = await newChat();
      const chat = await store.updateChat({ ...ids, archived: true, metadata: { a: 1 } });
      const before = await stored(ids);
      for (const same of [
        { title: "Tides" },
        { titleIfEmpty: "Too late" },
        { archived: true },
        { metadata: { a: 1 } },
        { title: "Tides", archived: true, metadata: { a: 1 } },
        { title: "Tides", expectedTitle: "Tides" },
        { title: "Moon", expectedTitle: "tides" },
        { title: "Moon", expectedTitle: "" },
        { title: "Moon", expectedTitle: "Tides ", archived: true, metadata: { a: 1 } },
      ]) {
        expect(await store.updateChat({ ...ids, ...same })).toEqual(chat);
      }
      expect(await stored(ids)).toEqual(before);
    });

    test("titleIfEmpty sets only an empty title, and updateChat still sets the other fields", async () => {
      const { ids, chat } = await newChat(conversation(2), "");
      expect(await store.updateChat({ ...ids, titleIfEmpty: "" })).toEqual(chat);
      expect(await store.updateChat({ ...ids, titleIfEmpty: "By a model" })).toMatchObject({ title: "By a model" });
      expect(await store.updateChat({ ...ids, titleIfEmpty: "Another", metadata: { a: 1 } })).toMatchObject({
        title: "By a model",
        metadata: { a: 1 },
      });
      await store.updateChat({ ...ids, title: "" });
      expect(await store.updateChat({ ...ids, titleIfEmpty: "Again", metadata: { a: 2 } })).toMatchObject({
        title: "Again",
        metadata: { a: 2 },
      });
    });

    test("expectedTitle lets a title be set only in place of that one, and updateChat still sets the other fields", async () => {
      const { ids, chat } = await newChat();
      const [replaced, kept] = [
        { title: "Moon", expectedTitle: "Tides" },
        { title: "Sun", expectedTitle: "Tides" },
      ];
      expect(await store.updateChat({ ...ids, ...replaced })).toEqual({ ...chat, title: "Moon" });
      expect(await store.updateChat({ ...ids, ...kept })).toEqual({ ...chat, title: "Moon" });
      expect(await store.updateChat({ ...ids, ...kept, archived: true, metadata: { a: 1 } })).toEqual({
        ...chat,
        title: "Moon",
        archivedAt: expect.any(Date),
        metadata: { a: 1 },
      });
      const both = { title: "", expectedTitle: "Moon", archived: false, metadata: null };
      expect(await store.updateChat({ ...ids, ...both })).toStrictEqual({ ...chat, title: "" });
      const odd = `'"\\ %_ 🌊 ${"x".repeat(980)}`;
      expect(await store.updateChat({ ...ids, title: odd, expectedTitle: "" })).toEqual({ ...chat, title: odd });
      expect(await store.updateChat({ ...ids, title: "Tides", expectedTitle: odd })).toEqual(chat);
      await expectNothingFor(store.updateChat({ ...strangerTo(ids), ...replaced }), null, ids, await stored(ids));
    });

    test.each([null, new Date(Number.NaN), { toJSON: () => null }])(
      "updateChat removes the metadata if JSON writes the new one as null",
      async (metadata) => {
        const { ids } = await newChat();
        await store.updateChat({ ...ids, metadata: { a: 1 } });
        expect(await store.updateChat({ ...ids, metadata })).not.toHaveProperty("metadata");
        expect((await stored(ids)).chats).toMatchObject([{ metadata: null }]);
      },
    );

    test("a save that expects the version succeeds after updateChat, and keeps the title, archiving and metadata", async () => {
      const { ids, chat } = await newChat();
      await store.updateChat({ ...ids, title: "Moon", archived: true, metadata: { a: 1 } });
      const saved = await store.upsertChat({ ...ids, messages: conversation(7, 300), expectedVersion: chat.version });
      expect(saved).toMatchObject({
        title: "Moon",
        version: 2,
        archivedAt: expect.any(Date),
        metadata: { a: 1 },
      });
    });

    test("updateChat returns null for a stranger and for a missing chat", async () => {
      const { ids } = await newChat();
      const before = await stored(ids);
      await expectNothingFor(store.updateChat({ ...strangerTo(ids), title: "Stolen" }), null, ids, before);
      await expectNothingFor(store.updateChat({ ...strangerTo(ids), title: "Tides" }), null, ids, before);
      expect(await store.updateChat({ ...newIds(), title: "Nothing" })).toBeNull();
    });

    test.each<[string, Record<string, unknown>, (string | number)[]]>([
      ["nothing to change", {}, []],
      ["title and titleIfEmpty", { title: "a", titleIfEmpty: "b" }, ["titleIfEmpty"]],
      ["expectedTitle without title", { expectedTitle: "a" }, ["expectedTitle"]],
      ["expectedTitle with other fields alone", { expectedTitle: "", archived: true }, ["expectedTitle"]],
      ["expectedTitle with titleIfEmpty", { titleIfEmpty: "a", expectedTitle: "b" }, ["expectedTitle"]],
      ["an expectedTitle too long", { title: "a", expectedTitle: "x".repeat(1_001) }, ["expectedTitle"]],
      ["an expectedTitle with a NUL", { title: "a", expectedTitle: "\0" }, ["expectedTitle"]],
      ["an expectedTitle that is null", { title: "a", expectedTitle: null }, ["expectedTitle"]],
      ["a title too long", { title: "x".repeat(1_001) }, ["title"]],
      ["a title with a NUL", { titleIfEmpty: "\0" }, ["titleIfEmpty"]],
      ["archived that is no boolean", { archived: "yes" }, ["archived"]],
      ["metadata that JSON cannot carry", { metadata: { a: [1n] } }, ["metadata", "a", 0]],
      ["metadata that is a function", { metadata: () => 1 }, ["metadata"]],
    ])("updateChat refuses %s", async (_, given, path) => {
      const { ids } = await newChat();
      const before = await stored(ids);
      await expect(store.updateChat({ ...ids, ...given } as never)).rejects.toMatchObject({
        code: "INVALID_CHAT",
        issues: [{ path }],
      });
      expect(await stored(ids)).toEqual(before);
    });
  });

  describe("getChats", () => {
    test("getChats lists archived chats separately, each list page by page in the order of activity", async () => {
      const { userId } = newIds();
      const ids = Array.from({ length: 7 }, (_, index) => `${userId} ${index}`);
      for (const [index, chatId] of ids.entries()) {
        await store.upsertChat({ userId, chatId, messages: conversation(1) });
        const updatedAt = new Date(Date.UTC(2026, 0, index < 4 ? 1 : 2));
        await database.query("update chat_store.chats set updated_at = $2 where id = $1", [chatId, updatedAt]);
        if (index % 2 === 0) await store.updateChat({ userId, chatId, archived: true });
      }
      const listed = async (archived: boolean | undefined, limit: number) => {
        const seen: string[] = [];
        for (let page = await store.getChats({ userId, archived, limit }); page.length > 0; ) {
          seen.push(...page.map(({ id }) => id));
          page = await store.getChats({ userId, archived, limit, before: page.at(-1) });
        }
        return seen;
      };
      const newestFirst = ids.toReversed();
      for (const limit of [1, 2, 10]) {
        expect(await listed(undefined, limit)).toEqual(newestFirst.filter((_, index) => index % 2 === 1));
        expect(await listed(false, limit)).toEqual(newestFirst.filter((_, index) => index % 2 === 1));
        expect(await listed(true, limit)).toEqual(newestFirst.filter((_, index) => index % 2 === 0));
      }
    });
  });

  describe("deleteChat", () => {
    test("deleteChat removes the chat's messages and turns, and touches no other chat", async () => {
      const [{ ids }, other] = [await newChat(), await newChat()];
      await store.startTurn({ ...ids, message: say("user", "And?") });
      const before = await stored(other.ids);
      expect(await store.deleteChat(ids)).toBe(true);
      expect(await stored(ids)).toEqual({ chats: [], messages: [], turns: [] });
      expect(await store.deleteChat(ids)).toBe(false);
      expect(await stored(other.ids)).toEqual(before);
    });

    test("deleteChat returns false for a stranger, and changes nothing", async () => {
      const { ids } = await newChat();
      await expectNothingFor(store.deleteChat(strangerTo(ids)), false, ids, await stored(ids));
    });

    test("a turn that ends after deleteChat stores no answer, and the chat stays deleted", async () => {
      const { ids } = await newChat();
      const turn = await store.startTurn({ ...ids, message: say("user", "And?") });
      await store.deleteChat(ids);
      const ending = turn.persist.onEnd({ responseMessage: say("assistant", "Late") });
      await expect(ending).rejects.toThrow(ChatConflictError);
      expect(await stored(ids)).toEqual({ chats: [], messages: [], turns: [] });
    });
  });

  describe("forkChat", () => {
    test.each([[undefined], ["m0"], ["m3"], ["m5"]])("forkChat copies all through %s", async (throughMessageId) => {
      const messages = conversation(6, 300).with(1, {
        ...say("assistant", 'a \u0000 NUL, a "quote", a \\ and half a pair \ud83d', "m1"),
        metadata: null,
      });
      const { ids } = await newChat(messages);
      await store.updateChat({ ...ids, archived: true, metadata: { shared: true } });
      const before = await stored(ids);
      const { chatId: newChatId } = newIds();
      const forked = await store.forkChat({ ...ids, newChatId, throughMessageId });

      const count = throughMessageId ? messages.findIndex(({ id }) => id === throughMessageId) + 1 : 6;
      expect(forked).toStrictEqual({
        id: newChatId,
        userId: ids.userId,
        title: "Tides",
        version: 1,
        createdAt: expect.any(Date),
        updatedAt: expect.any(Date),
        archivedAt: null,
      });
      expect(await store.getChat({ ...ids, chatId: newChatId })).toEqual({
        ...forked,
        messages: messages.slice(0, count),
      });
      const copies = (await stored({ chatId: newChatId })).messages.map(({ xmin, ...message }) => message);
      expect(copies).toEqual(before.messages.slice(0, count).map(({ xmin, ...message }) => message));
      expect(await stored(ids)).toEqual(before);
    });

    test("a chat and its fork change independently of each other", async () => {
      const { ids } = await newChat();
      const fork = { ...ids, chatId: newIds().chatId };
      await store.forkChat({ ...ids, newChatId: fork.chatId, throughMessageId: "m1", title: "Moon" });
      await store.upsertChat({ ...fork, messages: [...conversation(2, 300), say("user", "elsewhere", "m2")] });
      await store.upsertChat({ ...ids, messages: conversation(7, 300) });
      expect(await store.getChat(fork)).toMatchObject({ title: "Moon", version: 2, messages: { length: 3 } });
      expect((await store.getChat(ids))?.messages).toEqual(conversation(7, 300));
    });

    test("forkChat copies an empty chat, and the stored messages of a chat with a running turn", async () => {
      const empty = await newChat([]);
      expect(await store.forkChat({ ...empty.ids, newChatId: newIds().chatId })).toMatchObject({ version: 1 });
      const { ids } = await newChat();
      const fork = { ...ids, chatId: newIds().chatId };
      const turn = await store.startTurn({ ...ids, message: say("user", "And?", "question") });
      await store.forkChat({ ...ids, newChatId: fork.chatId });
      await turn.persist.onEnd({ responseMessage: say("assistant", "An answer") });
      expect((await store.getChat(fork))?.messages.map(({ id }) => id).slice(5)).toEqual(["m5", "question"]);
      expect((await stored(fork)).turns).toEqual([]);
    });

    test("forkChat returns null for a missing chat, for a missing message and for a stranger", async () => {
      const { ids } = await newChat();
      const before = await stored(ids);
      const { chatId: newChatId } = newIds();
      await expectNothingFor(store.forkChat({ ...strangerTo(ids), newChatId }), null, ids, before);
      await expectNothingFor(store.forkChat({ ...ids, newChatId, throughMessageId: "m6" }), null, ids, before);
      expect(await store.forkChat({ ...newIds(), newChatId })).toBeNull();
      expect(await stored({ chatId: newChatId })).toEqual({ chats: [], messages: [], turns: [] });
    });

    test("forkChat reports a conflict for an id of the user's own, and refuses an id of another user's chat", async () => {
      const [{ ids }, own, theirs] = [await newChat(), newIds(), await newChat()];
      await store.upsertChat({ userId: ids.userId, chatId: own.chatId, messages: [] });
      const before = [await stored(ids), await stored(own), await stored(theirs.ids)];
      for (const newChatId of [own.chatId, ids.chatId]) {
        const taken = store.forkChat({ ...ids, newChatId });
        await expect(taken).rejects.toThrow(ChatConflictError);
        await expect(taken).rejects.toMatchObject({ chatId: newChatId, expectedVersion: null, actualVersion: 1 });
      }
      const refused = store.forkChat({ ...ids, newChatId: theirs.ids.chatId });
      await expect(refused).rejects.toThrow(ChatOwnershipError);
      // What is not there at all is seen first.
      expect(await store.forkChat({ ...newIds(), newChatId: theirs.ids.chatId })).toBeNull();
      expect([await stored(ids), await stored(own), await stored(theirs.ids)]).toEqual(before);
    });
  });

  describe("updateMessage", () => {
    const other: UIMessage = { ...say("assistant", 'edited, with a \u0000 and a "\\"', "m3"), metadata: { by: "me" } };

    test("updateMessage replaces a message's parts and metadata, and touches no other message", async () => {
      const { ids, chat } = await newChat();
      const before = await stored(ids);
      const updated = await store.updateMessage({ ...ids, message: other });
      expect(updated).toEqual({ ...chat, version: 2, updatedAt: expect.any(Date) });
      expect(Number(updated?.updatedAt)).toBeGreaterThan(Number(chat.updatedAt));
      expect(await store.getChat(ids)).toEqual({ ...updated, messages: conversation(6, 300).with(3, other) });
      const after = await stored(ids);
      expect(after.messages.filter((message, index) => message.xmin !== before.messages[index]?.xmin)).toMatchObject([
        { id: "m3", order: 3, created_at: before.messages[3]?.created_at },
      ]);
      const { metadata, ...bare } = other;
      await store.updateMessage({ ...ids, message: bare });
      expect((await store.getChat(ids))?.messages[3]).toStrictEqual(bare);
    });

    test("updateMessage without changes writes nothing, and accepts any expected version", async () => {
      const { ids } = await newChat();
      const chat = await store.updateMessage({ ...ids, message: other, expectedVersion: 1 });
      const before = await stored(ids);
      expect(await store.updateMessage({ ...ids, message: other })).toEqual(chat);
      // As after an answer that got lost.
      expect(await store.updateMessage({ ...ids, message: other, expectedVersion: 1 })).toEqual(chat);
      expect(await stored(ids)).toEqual(before);
    });

    test("a save of the loaded messages after updateMessage writes nothing", async () => {
      const { ids } = await newChat();
      await store.updateMessage({ ...ids, message: other });
      const { messages = [] } = (await store.getChat(ids)) ?? {};
      const before = await stored(ids);
      await store.upsertChat({ ...ids, messages });
      expect(await stored(ids)).toEqual(before);
    });

    test("updateMessage returns null for a missing chat, for a missing message and for a stranger", async () => {
      const { ids } = await newChat();
      const before = await stored(ids);
      await expectNothingFor(store.updateMessage({ ...strangerTo(ids), message: other }), null, ids, before);
      const missing = { ...other, id: "m6" };
      await expectNothingFor(store.updateMessage({ ...ids, message: missing }), null, ids, before);
      await expectNothingFor(store.updateMessage({ ...ids, message: missing, expectedVersion: 7 }), null, ids, before);
      expect(await store.updateMessage({ ...newIds(), message: other, expectedVersion: 1 })).toBeNull();
    });

    test("updateMessage reports a conflict for another version, and refuses another role", async () => {
      const { ids } = await newChat();
      const before = await stored(ids);
      const stale = store.updateMessage({ ...ids, message: other, expectedVersion: 2 });
      await expect(stale).rejects.toMatchObject({ code: "CHAT_CONFLICT", expectedVersion: 2, actualVersion: 1 });
      const disguised = store.updateMessage({ ...ids, message: { ...other, role: "user" } });
      await expect(disguised).rejects.toMatchObject({ code: "INVALID_CHAT", issues: [{ path: ["message", "role"] }] });
      await expect(store.updateMessage({ ...ids, message: { ...other, parts: 1 } } as never)).rejects.toThrow(
        InvalidChatError,
      );
      expect(await stored(ids)).toEqual(before);
    });
  });

  test("updateMessage stops the turn of the changed question, and a turn that continues the changed answer goes on", async () => {
    const { ids } = await newChat();
    const doomed = await store.startTurn({ ...ids, message: say("user", "doomed?", "doomed") });
    await store.updateMessage({ ...ids, message: say("user", "changed", "doomed") });
    expect((await stored(ids)).turns).toMatchObject([{ question_id: "doomed", stop: true }]);
    const late = doomed.persist.onEnd({ responseMessage: say("assistant", "Late") });
    await expect(late).rejects.toThrow(ChatConflictError);

    const pending: UIMessage = {
      id: "tool",
      role: "assistant",
      parts: [{ type: "tool-ask", toolCallId: "t", state: "input-available", input: {} }],
    };
    const { ids: other } = await newChat([say("user", "Ask me", "q"), pending]);
    const answered = {
      ...pending,
      parts: [{ ...pending.parts[0], state: "output-available", output: 1 }],
    } as UIMessage;
    const going = await store.startTurn({ ...other, message: answered, tools: { ask: {} } });
    await store.updateMessage({ ...other, message: { ...answered, metadata: { rating: 1 } } });
    expect((await stored(other)).turns).toMatchObject([{ question_id: "tool", stop: false }]);
    await going.persist.onEnd({
      responseMessage: { ...answered, parts: [...answered.parts, { type: "text", text: "Thanks" }] },
    });
    expect((await store.getChat(other))?.messages.at(-1)?.parts).toHaveLength(2);
  });

  describe("deleteMessage", () => {
    const all = conversation(6, 300);

    test.each([
      ["m0", false],
      ["m2", false],
      ["m5", false],
      ["m0", true],
      ["m3", true],
      ["m5", true],
    ])("deleteMessage removes %s by its place, with following: %s", async (messageId, following) => {
      const { ids, chat } = await newChat(all);
      // Times say nothing about places.
      await database.query(
        `update chat_store.messages set created_at = to_timestamp(1767225600 - "order" * 3600) where chat_id = $1`,
        [ids.chatId],
      );
      const at = all.findIndex(({ id }) => id === messageId);
      const left = following ? all.slice(0, at) : all.toSpliced(at, 1);
      const deleted = await store.deleteMessage({ ...ids, messageId, following });
      expect(deleted).toEqual({ ...chat, version: 2, updatedAt: expect.any(Date) });
      expect(Number(deleted?.updatedAt)).toBeGreaterThan(Number(chat.updatedAt));
      expect(await store.getChat(ids)).toEqual({ ...deleted, messages: left });
      expect(await storedOrder(ids)).toEqual(left.map(({ id }, order) => [id, order]));

      const before = await stored(ids);
      await store.upsertChat({ ...ids, messages: left });
      expect(await stored(ids)).toEqual(before);
      await store.upsertChat({ ...ids, messages: [...left, say("user", "more", "more")] });
      expect(await storedOrder(ids)).toEqual([...left.map(({ id }, order) => [id, order]), ["more", left.length]]);
    });

    test("deleteMessage removes one message after the other, until none is left", async () => {
      const { ids } = await newChat(all);
      for (const messageId of ["m1", "m4", "m0", "m5", "m2", "m3"]) await store.deleteMessage({ ...ids, messageId });
      expect(await store.getChat(ids)).toMatchObject({ version: 7, messages: [] });
    });

    test("deleteMessage keeps the order of the other messages where direct SQL has left gaps", async () => {
      const { ids } = await newChat(all);
      await database.query(`update chat_store.messages set "order" = "order" * 7 + 3 where chat_id = $1`, [ids.chatId]);
      await store.deleteMessage({ ...ids, messageId: "m2" });
      expect((await store.getChat(ids))?.messages).toEqual(all.toSpliced(2, 1));
      const { messages } = await stored(ids);
      expect(new Set(messages.map(({ order }) => order)).size).toBe(5);
    });

    test("deleteMessage returns null for a missing chat, for a missing message and for a stranger", async () => {
      const { ids } = await newChat(all);
      const before = await stored(ids);
      for (const following of [false, true]) {
        await expectNothingFor(
          store.deleteMessage({ ...strangerTo(ids), messageId: "m0", following }),
          null,
          ids,
          before,
        );
        await expectNothingFor(store.deleteMessage({ ...ids, messageId: "m6", following }), null, ids, before);
        expect(await store.deleteMessage({ ...newIds(), messageId: "m0", following })).toBeNull();
      }
      await expectNothingFor(store.deleteMessage({ ...ids, messageId: "m6", expectedVersion: 7 }), null, ids, before);
    });

    test("deleteMessage reports a conflict for another version", async () => {
      const { ids } = await newChat(all);
      const before = await stored(ids);
      const stale = store.deleteMessage({ ...ids, messageId: "m0", expectedVersion: 2 });
      await expect(stale).rejects.toMatchObject({ code: "CHAT_CONFLICT", expectedVersion: 2, actualVersion: 1 });
      expect(await stored(ids)).toEqual(before);
      expect(await store.deleteMessage({ ...ids, messageId: "m0", expectedVersion: 1 })).toMatchObject({ version: 2 });
    });

    test("deleteMessage stops the turn of the deleted question, which stores nothing, and other turns go on", async () => {
      const { ids } = await newChat(all);
      const doomed = await store.startTurn({ ...ids, message: say("user", "doomed?", "doomed") });
      const other = await store.startTurn({ ...ids, message: say("user", "other?", "other") });
      await store.deleteMessage({ ...ids, messageId: "doomed" });
      expect((await stored(ids)).turns.filter(({ stop }) => stop)).toMatchObject([{ question_id: "doomed" }]);
      const late = doomed.persist.onEnd({ responseMessage: say("assistant", "Late") });
      await expect(late).rejects.toThrow(ChatConflictError);
      await other.persist.onEnd({ responseMessage: say("assistant", "In time", "in time") });
      expect((await storedOrder(ids)).slice(6)).toEqual([
        ["other", 6],
        ["in time", 7],
      ]);
    });
  });

  describe("claimChats", () => {
    test("claimChats gives all chats of one user to another, with their order and times", async () => {
      const [guest, user] = [newIds().userId, newIds().userId];
      const ids = [0, 1, 2].map((number) => `${guest} ${number}`);
      for (const chatId of ids) await store.upsertChat({ userId: guest, chatId, messages: conversation(2) });
      await store.updateChat({ userId: guest, chatId: ids[1] ?? "", archived: true });
      const own = await store.upsertChat({ userId: user, chatId: `${user} own`, messages: [] });
      const bystander = await newChat();
      const before = await stored(bystander.ids);
      const list = [...(await store.getChats({ userId: guest })), own];
      const messages = await stored({ chatId: ids[0] ?? "" });

      expect(await store.claimChats({ fromUserId: guest, userId: user })).toBe(3);
      expect((await store.getChats({ userId: user })).toSorted((a, b) => (a.id < b.id ? -1 : 1))).toEqual(
        list.map((chat) => ({ ...chat, userId: user })).toSorted((a, b) => (a.id < b.id ? -1 : 1)),
      );
      expect(await store.getChats({ userId: user, archived: true })).toMatchObject([{ id: ids[1], version: 1 }]);
      expect((await stored({ chatId: ids[0] ?? "" })).messages).toEqual(messages.messages);
      expect(await stored(bystander.ids)).toEqual(before);

      for (const archived of [false, true]) expect(await store.getChats({ userId: guest, archived })).toEqual([]);
      expect(await store.getChat({ userId: guest, chatId: ids[0] ?? "" })).toBeNull();
      expect(await store.updateChat({ userId: guest, chatId: ids[0] ?? "", title: "Mine?" })).toBeNull();
      const saving = store.upsertChat({ userId: guest, chatId: ids[0] ?? "", messages: [] });
      await expect(saving).rejects.toThrow(ChatOwnershipError);
      expect(await store.claimChats({ fromUserId: guest, userId: user })).toBe(0);
    });

    test("claimChats changes nothing for the same user, and for a user without chats", async () => {
      const { ids } = await newChat();
      const before = await stored(ids);
      const { userId } = ids;
      expect(await store.claimChats({ fromUserId: userId, userId })).toBe(0);
      expect(await store.claimChats({ fromUserId: newIds().userId, userId })).toBe(0);
      expect(await stored(ids)).toEqual(before);
      await expect(store.claimChats({ userId } as never)).rejects.toMatchObject({
        issues: [{ path: ["fromUserId"] }],
      });
    });

    test("a turn that ends after claimChats stores its answer for the new owner, once", async () => {
      const { ids } = await newChat();
      const heir = newIds().userId;
      const turn = await store.startTurn({ ...ids, message: say("user", "And?", "question") });
      expect(await store.claimChats({ fromUserId: ids.userId, userId: heir })).toBe(1);
      const answer = say("assistant", "An answer", "answer");
      await turn.persist.onEnd({ responseMessage: answer });
      await turn.persist.onEnd({ responseMessage: answer });
      const chat = await store.getChat({ userId: heir, chatId: ids.chatId });
      expect(chat).toMatchObject({ userId: heir, version: 3 });
      expect(chat?.messages.slice(6).map(({ id }) => id)).toEqual(["question", "answer"]);
      expect((await stored(ids)).turns).toEqual([]);
      // The turn goes on, and nothing else of the guest's.
      await expect(store.startTurn({ ...ids, message: say("user", "Still mine?") })).rejects.toThrow(
        ChatOwnershipError,
      );
    });

    test("a turn that ends after claimChats stores its answer also when the new owner has asked another question", async () => {
      const { ids } = await newChat();
      const heir = newIds().userId;
      const turn = await store.startTurn({ ...ids, message: say("user", "And?", "question") });
      await store.claimChats({ fromUserId: ids.userId, userId: heir });
      await store.startTurn({ userId: heir, chatId: ids.chatId, message: say("user", "More?", "more") });
      await turn.persist.onEnd({ responseMessage: say("assistant", "An answer", "answer") });
      expect((await storedOrder(ids)).slice(6).map(([id]) => id)).toEqual(["question", "answer", "more"]);
    });

    test("turns that different owners began store their answers after any number of claims", async () => {
      const { ids } = await newChat();
      const owners = [ids.userId, ...Array.from({ length: 3 }, () => newIds().userId)];
      const turns: Turn[] = [];
      for (const [index, userId] of owners.entries()) {
        turns.push(await store.startTurn({ ...ids, userId, message: say("user", "And?", `q${index}`) }));
        const heir = owners[index + 1];
        if (heir) expect(await store.claimChats({ fromUserId: userId, userId: heir })).toBe(1);
      }
      for (const [index, turn] of turns.entries()) {
        await turn.persist.onEnd({ responseMessage: say("assistant", "So", `a${index}`) });
      }
      expect((await storedOrder(ids)).slice(6).map(([id]) => id)).toEqual(
        owners.flatMap((_, index) => [`q${index}`, `a${index}`]),
      );
    });

    test("nothing that a claim leaves names the former owner", async () => {
      const { ids } = await newChat();
      const idle = { ...newIds(), userId: ids.userId };
      await store.upsertChat({ ...idle, messages: [] });
      const turn = await store.startTurn({ ...ids, message: say("user", "And?", "question") });
      await store.claimChats({ fromUserId: ids.userId, userId: newIds().userId });
      const rows = async () =>
        database.query("select to_json(c)::text json, claimed_from from chat_store.chats c where id in ($1, $2)", [
          ids.chatId,
          idle.chatId,
        ]);
      expect(JSON.stringify(await rows())).not.toContain(ids.userId);
      expect((await rows()).filter(({ claimed_from }) => claimed_from !== null)).toHaveLength(1);
      expect(await store.deleteAllChats({ userId: ids.userId })).toBe(0);
      await turn.persist.onEnd({ responseMessage: say("assistant", "So", "answer") });
    });

    test("a recording goes on after claimChats, for the new owner", async () => {
      const { ids } = await newChat();
      const heir = { ...ids, userId: newIds().userId };
      const turn = await store.startTurn({ ...ids, message: say("user", "And?", "question") });
      let speak!: (chunk: object) => void;
      let end!: () => void;
      const stream = new ReadableStream<string>({
        start(controller) {
          speak = (chunk) => controller.enqueue(`data: ${JSON.stringify(chunk)}\n\n`);
          end = () => controller.close();
        },
      });
      const recorded = turn.consumeSseStream({ stream });
      const pieces = () =>
        database.query("select text from chat_store.turn_chunks where chat_id = $1 order by seq", [ids.chatId]);
      // How many pieces they become depends on the time.
      const said = async () => (await pieces()).map(({ text }) => text).join("");
      speak({ type: "start", messageId: turn.persist.generateMessageId() });
      speak({ type: "text-start", id: "1" });
      await expect.poll(said).toContain("text-start");
      await store.claimChats({ fromUserId: ids.userId, userId: heir.userId });
      speak({ type: "text-delta", id: "1", delta: "for the new owner" });
      await expect.poll(said).toContain("for the new owner");
      expect(await store.resumeTurn(ids)).toBeNull();
      const reader = (await store.resumeTurn(heir))?.getReader();
      expect(new TextDecoder().decode((await reader?.read())?.value)).toContain('"start"');
      await reader?.cancel();
      expect(await store.stopTurn(ids)).toBe(false);
      expect(await store.stopTurn(heir)).toBe(true);
      await expect.poll(() => turn.abortSignal.aborted).toBe(true);
      end();
      await turn.persist.onEnd({ responseMessage: say("assistant", "for the new owner", "answer") });
      await recorded;
      expect((await store.getChat(heir))?.messages.at(-1)).toMatchObject({ id: "answer" });
    });
  });

  describe("deleteAllChats", () => {
    test("deleteAllChats erases the user's chats, and no other user's", async () => {
      const { userId } = newIds();
      const other = await newChat();
      const before = await stored(other.ids);
      for (let number = 0; number < 7; number++) {
        const chatId = `${userId} ${number}`;
        await store.upsertChat({ userId, chatId, messages: conversation(3) });
        if (number % 2) await store.updateChat({ userId, chatId, archived: true });
      }
      const turn = await store.startTurn({ userId, chatId: `${userId} 0`, message: say("user", "And?") });
      expect(await store.deleteAllChats({ userId })).toBe(7);
      const late = turn.persist.onEnd({ responseMessage: say("assistant", "Late") });
      await expect(late).rejects.toThrow(ChatConflictError);
      for (const archived of [false, true]) expect(await store.getChats({ userId, archived })).toEqual([]);
      expect(
        await database.query("select from chat_store.messages where chat_id like $1 || '%'", [`${userId} `]),
      ).toEqual([]);
      expect(await store.deleteAllChats({ userId })).toBe(0);
      expect(await stored(other.ids)).toEqual(before);
    });

    test("deleteAllChats deletes more chats than one batch holds", async () => {
      const { userId } = newIds();
      await database.query(
        "insert into chat_store.chats (id, user_id, title) select $1 || ' ' || n, $1, '' from generate_series(1, 250) n",
        [userId],
      );
      expect(await store.deleteAllChats({ userId })).toBe(250);
    });

    describe("chats that a table of the application refers to", () => {
      const table = `invoices_${randomUUID().replaceAll("-", "")}`;
      beforeAll(async () => {
        await database.query(
          `create table public.${table} (chat_id text primary key references chat_store.chats (id))`,
        );
        if (isOnCitus) await database.query(`select create_distributed_table('public.${table}', 'chat_id')`);
      });
      afterAll(() => database.query(`drop table public.${table}`));

      const chatsOfOne = async () => {
        const { userId } = newIds();
        await database.query(
          "insert into chat_store.chats (id, user_id, title) select $1 || ' ' || lpad(n::text, 3, '0'), $1, '' from generate_series(1, 250) n",
          [userId],
        );
        const kept = [1, 120, 121, 250].map((number) => `${userId} ${String(number).padStart(3, "0")}`);
        for (const chatId of kept) {
          await store.upsertChat({ userId, chatId, messages: conversation(2) });
          await database.query(`insert into public.${table} values ($1)`, [chatId]);
        }
        return { userId, kept };
      };
      const refusal = {
        code: "QUERY_FAILED",
        message: expect.stringMatching(
          /has deleted 246 of this user's chats\. The database refused to delete 4 others.* 23503/,
        ),
      };
      const leftOf = async (userId: string) =>
        (await database.query("select id from chat_store.chats where user_id = $1 order by id", [userId])).map(
          ({ id }) => id,
        );

      test("deleteAllChats deletes all others, and fails with the number of those that are left", async () => {
        const { userId, kept } = await chatsOfOne();
        await expect(store.deleteAllChats({ userId })).rejects.toMatchObject(refusal);
        expect(await leftOf(userId)).toEqual(kept);
        for (const chatId of kept) expect((await store.getChat({ userId, chatId }))?.messages).toHaveLength(2);
        await expect(store.deleteAllChats({ userId })).rejects.toThrow(
          "has deleted 0 of this user's chats. The database refused to delete 4",
        );
        await database.query(`delete from public.${table}`);
        expect(await store.deleteAllChats({ userId })).toBe(4);
      });

      test.runIf(transactions)("deleteAllChats leaves a transaction of the caller usable", async () => {
        const { userId, kept } = await chatsOfOne();
        await database.db.transaction(async (tx) => {
          const inside = storeOn(tx);
          await expect(inside.deleteAllChats({ userId })).rejects.toMatchObject(refusal);
          expect(await inside.getChats({ userId })).toHaveLength(4);
        });
        expect(await leftOf(userId)).toEqual(kept);
      });
    });
  });

  describe("exportChats", () => {
    test("exportChats gives every chat with its messages once, also archived chats", async () => {
      const { userId } = newIds();
      for (let number = 0; number < 5; number++) {
        const chatId = `${userId} ${number}`;
        await store.upsertChat({ userId, chatId, title: `Chat ${number}`, messages: conversation(number, 300) });
        if (number % 2) await store.updateChat({ userId, chatId, archived: true, metadata: { number } });
      }
      await newChat();
      const exported: unknown[] = [];
      for await (const chat of store.exportChats({ userId })) exported.push(chat);
      const loaded = await Promise.all(
        [0, 1, 2, 3, 4].map((number) => store.getChat({ userId, chatId: `${userId} ${number}` })),
      );
      expect(exported).toEqual(loaded);
    });

    test("exportChats goes on when chats are deleted and saved meanwhile, and ends when the caller leaves the loop", async () => {
      const { userId } = newIds();
      const chatIds = [0, 1, 2, 3].map((number) => `${userId} ${number}`) as [string, string, string, string];
      for (const chatId of chatIds) await store.upsertChat({ userId, chatId, messages: conversation(1) });
      const seen: string[] = [];
      for await (const { id } of store.exportChats({ userId })) {
        if (seen.length === 0) {
          await store.deleteChat({ userId, chatId: chatIds[1] });
          await store.upsertChat({ userId, chatId: chatIds[2], messages: conversation(2) });
        }
        seen.push(id);
      }
      expect(seen).toEqual([chatIds[0], chatIds[2], chatIds[3]]);
      for await (const { id } of store.exportChats({ userId })) {
        expect(id).toBe(chatIds[0]);
        break;
      }
    });

    test("exportChats gives nothing to a user without chats, and refuses invalid input at the first read", async () => {
      for await (const chat of store.exportChats(newIds())) expect.fail(chat.id);
      const chats = store.exportChats({ userId: "" });
      await expect(chats[Symbol.asyncIterator]().next()).rejects.toThrow(InvalidChatError);
    });
  });

  if (!transactions) return;

  test("every method takes part in a transaction of the caller, and a refusal leaves the transaction usable", async () => {
    const [{ ids }, theirs, guest] = [await newChat(), await newChat(), await newChat()];
    const before = await Promise.all([ids, theirs.ids, guest.ids].map(stored));
    const rolledBack = database.db.transaction(async (tx) => {
      const inside = storeOn(tx);
      const newChatId = newIds().chatId;
      await expect(inside.forkChat({ ...ids, newChatId: theirs.ids.chatId })).rejects.toThrow(ChatOwnershipError);
      await expect(inside.forkChat({ ...ids, newChatId: ids.chatId })).rejects.toThrow(ChatConflictError);
      await expect(inside.deleteMessage({ ...ids, messageId: "m1", expectedVersion: 9 })).rejects.toThrow(
        ChatConflictError,
      );
      expect(await inside.updateChat({ ...ids, title: "Inside" })).toMatchObject({ title: "Inside" });
      expect(await inside.forkChat({ ...ids, newChatId })).toMatchObject({ title: "Inside" });
      expect(await inside.updateMessage({ ...ids, message: say("user", "edited", "m0") })).toMatchObject({
        version: 2,
      });
      expect(await inside.deleteMessage({ ...ids, messageId: "m1" })).toMatchObject({ version: 3 });
      expect(await inside.claimChats({ fromUserId: guest.ids.userId, userId: ids.userId })).toBe(1);
      const exported: string[] = [];
      for await (const { id } of inside.exportChats(ids)) exported.push(id);
      expect(exported.sort()).toEqual([ids.chatId, newChatId, guest.ids.chatId].sort());
      expect(await inside.deleteChat(ids)).toBe(true);
      expect(await inside.deleteAllChats(ids)).toBe(2);
      throw new Error("the caller changed its mind");
    });
    await expect(rolledBack).rejects.toThrow("the caller changed its mind");
    expect(await Promise.all([ids, theirs.ids, guest.ids].map(stored))).toEqual(before);
  });
});

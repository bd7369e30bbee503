// Projects: main, node, drivers, postgres, drizzle, tables, sessions, citus.
import { randomUUID } from "node:crypto";
import type { UIMessage } from "ai";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { ChatConflictError, ChatOwnershipError, type ChatStore, InvalidChatError } from "../src/index.ts";
import { conversation, say } from "./support/conversations.ts";
import { embedded, type TestDatabase } from "./support/databases.ts";
import { kinds } from "./support/kinds.ts";

/** Then direct SQL cannot give two messages one order. */
const hasUniqueOrder = inject("peculiarity")?.includes("a unique order") === true;

describe.each([...kinds, ...embedded])("a chat store on $name, $mode", ({ open, storeOn, transactions }) => {
  let database: TestDatabase;
  let store: ChatStore;
  beforeAll(async () => {
    database = await open();
    store = storeOn(database.db);
  });
  afterAll(() => database.close());

  // Every test has users and chats of its own, in tables that hold those of all the others.
  const newIds = () => ({ userId: `user ${randomUUID()}`, chatId: `chat ${randomUUID()}` });

  /** All that is stored of a chat, as text, read past the store. */
  const stored = async (chatId: string) => ({
    chats: await database.query("select *, updated_at::text, xmin::text from chat_store.chats where id = $1", [chatId]),
    messages: await database.query(
      `select id, "order", role, parts::text, metadata::text, created_at::text, xmin::text
       from chat_store.messages where chat_id = $1 order by "order"`,
      [chatId],
    ),
  });

  describe("upsertChat", () => {
    test("upsertChat creates the chat under the given id", async () => {
      const ids = newIds();
      const chat = await store.upsertChat({ ...ids, title: "Tides", messages: conversation(3) });

      expect(chat).toEqual({
        id: ids.chatId,
        userId: ids.userId,
        title: "Tides",
        version: 1,
        createdAt: expect.any(Date),
        updatedAt: chat.createdAt,
        archivedAt: null,
      });
      expect(
        await database.query("select id, user_id, title, version from chat_store.chats where id = $1", [ids.chatId]),
      ).toEqual([{ id: ids.chatId, user_id: ids.userId, title: "Tides", version: 1 }]);
      expect((await stored(ids.chatId)).messages).toMatchObject(
        conversation(3).map(({ id, role, parts }, order) => ({
          id,
          order,
          role,
          parts: JSON.stringify(parts),
          metadata: null,
        })),
      );
    });

    const [a, b, c, d] = [
      say("user", "a", "a"),
      say("assistant", "b", "b"),
      say("user", "c", "c"),
      say("assistant", "d", "d"),
    ];
    test.each<[string, UIMessage[], UIMessage[]]>([
      ["one message appended", [a, b], [a, b, c]],
      ["two messages appended", [a, b], [a, b, c, d]],
      ["three messages appended", [a], [a, b, c, d]],
      ["the last message replaced under its id", [a, b], [a, say("assistant", "other", "b")]],
      ["the last message regenerated under a new id", [a, b], [a, say("assistant", "b", "b2")]],
      ["only a message's role changed", [a, b], [a, { ...b, role: "system" }]],
      ["only a message's metadata changed", [a, b], [a, { ...b, metadata: { seen: true } }]],
      ["the first message edited", [a, b, c, d], [say("user", "edited", "a"), b, c, d]],
      ["a middle message edited and the rest cut", [a, b, c, d], [a, say("assistant", "edited", "b")]],
      ["the first message removed", [a, b, c, d], [b, c, d]],
      ["the middle messages removed", [a, b, c, d], [a, d]],
      ["the last two messages removed", [a, b, c, d], [a, b]],
      ["a message put in front", [b, c], [a, b, c]],
      ["a message put into the middle", [a, c], [a, b, c]],
      ["the order reversed", [a, b, c, d], [d, c, b, a]],
      ["the last two messages swapped", [a, b, c, d], [a, b, d, c]],
      ["all messages exchanged", [a, b], [c, d]],
      ["all messages removed", [a, b, c], []],
      ["an empty chat filled", [], [a, b]],
    ])("upsertChat makes the stored messages exactly the given ones: %s", async (_, before, after) => {
      const ids = newIds();
      const created = await store.upsertChat({ ...ids, messages: before });
      const saved = await store.upsertChat({ ...ids, messages: after });

      expect(saved).toMatchObject({ id: ids.chatId, version: 2, createdAt: created.createdAt });
      expect((await stored(ids.chatId)).messages).toMatchObject(
        after.map(({ id, role, parts, metadata }, order) => ({
          id,
          order,
          role,
          parts: JSON.stringify(parts),
          metadata: metadata === undefined ? null : JSON.stringify(metadata),
        })),
      );
      expect(await store.getChat(ids)).toEqual({ ...saved, messages: after });
    });

    test("upsertChat keeps the stored title when the caller gives none, and a new chat has an empty title", async () => {
      const ids = newIds();
      expect(await store.upsertChat({ ...ids, messages: [] })).toMatchObject({ title: "" });
      expect(await store.upsertChat({ ...ids, title: "Renamed", messages: [] })).toMatchObject({ title: "Renamed" });
      expect(await store.upsertChat({ ...ids, messages: conversation(1) })).toMatchObject({
        title: "Renamed",
        version: 3,
      });
      expect(await store.upsertChat({ ...ids, title: "", messages: conversation(1) })).toMatchObject({
        title: "",
        version: 4,
      });
    });

    test("upsertChat changes the title without rewriting a message", async () => {
      const ids = newIds();
      await store.upsertChat({ ...ids, title: "Old", messages: conversation(6) });
      const { messages } = await stored(ids.chatId);
      const renamed = await store.upsertChat({ ...ids, title: "New", messages: conversation(6) });

      expect(renamed).toMatchObject({ title: "New", version: 2 });
      expect((await stored(ids.chatId)).messages).toEqual(messages);
    });

    test.each([[0], [1], [2], [7]])("upsertChat writes nothing for the same %i messages", async (count) => {
      const ids = newIds();
      const first = await store.upsertChat({ ...ids, title: "Same", messages: conversation(count) });
      const { messages } = await stored(ids.chatId);

      expect(await store.upsertChat({ ...ids, title: "Same", messages: conversation(count) })).toEqual(first);
      expect(await store.upsertChat({ ...ids, messages: conversation(count) })).toEqual(first);
      expect((await stored(ids.chatId)).messages).toEqual(messages);
      expect(await store.getChat(ids)).toMatchObject({ version: 1, updatedAt: first.updatedAt });
    });

    test("upsertChat rewrites only the messages that differ", async () => {
      const ids = newIds();
      await store.upsertChat({ ...ids, messages: conversation(8) });
      const before = await stored(ids.chatId);
      const edited = conversation(8).with(3, say("assistant", "edited", "m3"));
      await store.upsertChat({ ...ids, messages: edited });
      const after = await stored(ids.chatId);

      expect(after.messages.filter((message, index) => message.xmin !== before.messages[index]?.xmin)).toMatchObject([
        { id: "m3" },
      ]);
    });

    test("upsertChat saves thousands of messages, and messages of a megabyte", async () => {
      const long = newIds();
      await store.upsertChat({ ...long, messages: conversation(2_500) });
      expect((await store.getChat(long))?.messages).toEqual(conversation(2_500));

      const large = newIds();
      await store.upsertChat({ ...large, messages: conversation(6, 1_000_000) });
      expect((await store.getChat(large))?.messages).toEqual(conversation(6, 1_000_000));
    });

    test("two chats can each have a message with the same id", async () => {
      const [one, two] = [newIds(), newIds()];
      await store.upsertChat({ ...one, messages: [say("user", "mine", "same")] });
      await store.upsertChat({ ...two, messages: [say("user", "yours", "same")] });

      expect((await store.getChat(one))?.messages).toEqual([say("user", "mine", "same")]);
      expect((await store.getChat(two))?.messages).toEqual([say("user", "yours", "same")]);
    });

    // Short messages travel along with the last one, long ones do not: these are saved by statements of other kinds.
    const sizes = [20, 2_000];

    test.each(sizes)("upsertChat refuses a stranger and changes nothing, %i characters a message", async (size) => {
      const ids = newIds();
      await store.upsertChat({ ...ids, title: "Mine", messages: conversation(4, size) });
      const before = await stored(ids.chatId);
      const stranger = { ...newIds(), chatId: ids.chatId };

      const known = [conversation(4, size), conversation(5, size), conversation(9, size)];
      for (const messages of [...known, [], [say("user", "other")]]) {
        for (const expectedVersion of [undefined, 1, 2]) {
          const refused = store.upsertChat({ ...stranger, title: "Stolen", messages, expectedVersion });
          await expect(refused).rejects.toThrow(ChatOwnershipError);
          await expect(refused).rejects.toMatchObject({ code: "CHAT_NOT_OWNED", chatId: ids.chatId });
        }
      }
      expect(await stored(ids.chatId)).toEqual(before);
    });

    test.each(sizes)("upsertChat saves only on the expected version, %i characters a message", async (size) => {
      const ids = newIds();
      await store.upsertChat({ ...ids, messages: conversation(2, size) });
      const second = await store.upsertChat({ ...ids, messages: conversation(3, size), expectedVersion: 1 });
      expect(second.version).toBe(2);
      const before = await stored(ids.chatId);

      for (const expectedVersion of [1, 3]) {
        for (const messages of [conversation(4, size), conversation(2, size), [], conversation(9, size)]) {
          const stale = store.upsertChat({ ...ids, messages, expectedVersion });
          await expect(stale).rejects.toThrow(ChatConflictError);
          await expect(stale).rejects.toMatchObject({ chatId: ids.chatId, expectedVersion, actualVersion: 2 });
        }
      }
      expect(await stored(ids.chatId)).toEqual(before);
    });

    test("a retry that expects the previous version succeeds when the store has its messages already", async () => {
      const ids = newIds();
      await store.upsertChat({ ...ids, messages: conversation(2) });
      const saved = await store.upsertChat({ ...ids, messages: conversation(6), expectedVersion: 1 });
      expect(await store.upsertChat({ ...ids, messages: conversation(6), expectedVersion: 1 })).toEqual(saved);
    });

    test.each([[[]], [conversation(1)], [conversation(5)]])(
      "upsertChat reports a conflict for an expected version of a missing chat, and creates nothing",
      async (messages) => {
        const ids = newIds();
        await expect(store.upsertChat({ ...ids, messages, expectedVersion: 1 })).rejects.toMatchObject({
          code: "CHAT_CONFLICT",
          actualVersion: null,
        });
        expect(await stored(ids.chatId)).toEqual({ chats: [], messages: [] });
      },
    );

    test("upsertChat keeps an updatedAt that lies in the future", async () => {
      const ids = newIds();
      await store.upsertChat({ ...ids, messages: conversation(1) });
      await database.query("update chat_store.chats set updated_at = '2999-01-01Z' where id = $1", [ids.chatId]);
      for (const messages of [conversation(2), conversation(9)]) {
        expect((await store.upsertChat({ ...ids, messages })).updatedAt).toEqual(new Date("2999-01-01Z"));
      }
    });

    test("upsertChat repairs messages that direct SQL has changed", async () => {
      const ids = newIds();
      await store.upsertChat({ ...ids, messages: conversation(6) });
      await database.query(`update chat_store.messages set parts = '[]' where chat_id = $1 and id = 'm1'`, [
        ids.chatId,
      ]);
      await database.query(`update chat_store.messages set metadata = 'null' where chat_id = $1 and id = 'm5'`, [
        ids.chatId,
      ]);
      await database.query(`delete from chat_store.messages where chat_id = $1 and id = 'm2'`, [ids.chatId]);
      await store.upsertChat({ ...ids, messages: conversation(6) });
      expect((await store.getChat(ids))?.messages).toEqual(conversation(6));
    });

    test.each(sizes)("upsertChat appends after gaps left by direct SQL, %i characters a message", async (size) => {
      const ids = newIds();
      await store.upsertChat({ ...ids, messages: conversation(6, size) });
      await database.query(`delete from chat_store.messages where chat_id = $1 and id in ('m0', 'm2')`, [ids.chatId]);
      const messages = conversation(7, size).filter(({ id }) => id !== "m0" && id !== "m2");
      await store.upsertChat({ ...ids, messages });
      expect((await store.getChat(ids))?.messages).toEqual(messages);
      expect((await stored(ids.chatId)).messages.map(({ order }) => order)).toEqual([0, 1, 2, 3, 4]);
    });

    test.skipIf(hasUniqueOrder).each(sizes)(
      "upsertChat repairs orders that direct SQL has repeated, %i characters a message",
      async (size) => {
        const ids = newIds();
        const kept = conversation(1, size);
        await store.upsertChat({ ...ids, messages: conversation(3, size) });
        await database.query(`update chat_store.messages set "order" = greatest("order" - 1, 0) where chat_id = $1`, [
          ids.chatId,
        ]);
        for (const messages of [[...kept, say("user", "other", "n1"), say("user", "another", "n2")], kept]) {
          await store.upsertChat({ ...ids, messages });
          expect((await stored(ids.chatId)).messages.map(({ id, order }) => [id, order])).toEqual(
            messages.map(({ id }, order) => [id, order]),
          );
          await database.query(`update chat_store.messages set "order" = 0 where chat_id = $1`, [ids.chatId]);
        }
      },
    );
  });

  describe("getChat", () => {
    test("getChat returns null for another user's chat as for a missing one", async () => {
      const ids = newIds();
      await store.upsertChat({ ...ids, messages: conversation(2) });
      expect(await store.getChat({ ...newIds(), chatId: ids.chatId })).toBeNull();
      expect(await store.getChat(newIds())).toBeNull();
    });

    test("getChat returns a chat without messages", async () => {
      const ids = newIds();
      const chat = await store.upsertChat({ ...ids, messages: [] });
      expect(await store.getChat(ids)).toEqual({ ...chat, messages: [] });
    });

    test("getChat leaves out absent metadata, and returns null metadata as null", async () => {
      const ids = newIds();
      const messages = [say("user", "none", "none"), { ...say("user", "null", "null"), metadata: null }];
      await store.upsertChat({ ...ids, messages });
      expect((await store.getChat(ids))?.messages).toStrictEqual(messages);
    });

    test("the store keeps only the id, role, metadata and parts of a message", async () => {
      const ids = newIds();
      const message = { ...say("user", "hello"), createdAt: new Date(), extra: 1 };
      await store.upsertChat({ ...ids, messages: [message] });
      const { createdAt, extra, ...kept } = message;
      expect((await store.getChat(ids))?.messages).toStrictEqual([kept]);
    });
  });

  test("a caller may change its messages and metadata while a call runs", async () => {
    const ids = newIds();
    const saved = { ...ids, messages: structuredClone(conversation(2)) };
    const edited = { ...ids, message: say("assistant", "Edited", "m1") };
    const updated = { ...ids, metadata: { topic: "Tides" } };
    const change = (parts: UIMessage["parts"] = []) => parts.splice(0, 1, { type: "text", text: "Changed meanwhile" });

    const saving = store.upsertChat(saved);
    for (const { parts } of saved.messages) change(parts);
    await saving;
    expect((await store.getChat(ids))?.messages).toEqual(conversation(2));

    const editing = store.updateMessage(edited);
    change(edited.message.parts);
    await editing;
    const updating = store.updateChat(updated);
    updated.metadata.topic = "Changed meanwhile";
    await updating;
    expect(await store.getChat(ids)).toMatchObject({
      messages: [conversation(1)[0], say("assistant", "Edited", "m1")],
      metadata: { topic: "Tides" },
    });
  });

  describe("getChats", () => {
    /** Five chats of one user, the middle three saved within one millisecond, oldest first. */
    const fiveChats = async () => {
      const { userId } = newIds();
      const times = ["2026-01-01T00:00:00Z", ...Array(3).fill("2026-01-02T00:00:00.123Z"), "2026-01-03T00:00:00Z"];
      const ids = times.map((_, index) => `${userId} ${index}`);
      for (const [index, chatId] of ids.entries()) {
        await store.upsertChat({ userId, chatId, title: `Chat ${index}`, messages: conversation(index) });
        await database.query("update chat_store.chats set updated_at = $1 where id = $2", [times[index], chatId]);
      }
      return { userId, newestFirst: ids.toReversed() };
    };

    test("getChats lists the user's chats without messages, newest activity first", async () => {
      const { userId, newestFirst } = await fiveChats();
      const chats = await store.getChats({ userId });
      expect(chats.map((chat) => chat.id)).toEqual(newestFirst);
      expect(Object.keys(chats[0] ?? {}).sort()).toEqual([
        "archivedAt",
        "createdAt",
        "id",
        "title",
        "updatedAt",
        "userId",
        "version",
      ]);
      expect(await store.getChats({ userId: newIds().userId })).toEqual([]);
    });

    test("a save moves the chat to the front of the list, and a save without changes leaves it in its place", async () => {
      const { userId, newestFirst } = await fiveChats();
      const [, second, third] = newestFirst as [string, string, string];
      await store.upsertChat({ userId, chatId: second, messages: conversation(3) });
      expect((await store.getChats({ userId })).map((chat) => chat.id)).toEqual(newestFirst);
      await store.upsertChat({ userId, chatId: third, messages: conversation(9) });
      expect((await store.getChats({ userId, limit: 1 })).map((chat) => chat.id)).toEqual([third]);
    });

    test.each([1, 2, 3, 5, 9])("pages of %i chats show every chat once, also where times are equal", async (limit) => {
      const { userId, newestFirst } = await fiveChats();
      const seen: string[] = [];
      for (let page = await store.getChats({ userId, limit }); page.length > 0; ) {
        expect(page.length).toBeLessThanOrEqual(limit);
        seen.push(...page.map((chat) => chat.id));
        page = await store.getChats({ userId, limit, before: page.at(-1) });
      }
      expect(seen).toEqual(newestFirst);
    });
  });

  test("the store is a frozen plain object of functions", () => {
    expect(Object.isFrozen(store)).toBe(true);
    expect(Object.getPrototypeOf(store)).toBe(Object.prototype);
    expect(Object.values(store).every((verb) => typeof verb === "function")).toBe(true);
  });

  if (!transactions) return;

  describe("a chat store in a transaction of the caller", () => {
    test("a rollback of the caller's transaction undoes the saves of the store", async () => {
      const ids = newIds();
      const rolledBack = database.db.transaction(async (tx) => {
        const inside = storeOn(tx);
        await inside.upsertChat({ ...ids, messages: conversation(3) });
        await inside.upsertChat({ ...ids, messages: conversation(9) });
        expect((await inside.getChat(ids))?.messages).toEqual(conversation(9));
        throw new Error("the caller changed its mind");
      });
      await expect(rolledBack).rejects.toThrow("the caller changed its mind");
      expect(await stored(ids.chatId)).toEqual({ chats: [], messages: [] });
    });

    test("a typed error leaves the caller's transaction usable, with its earlier saves", async () => {
      const [mine, theirs] = [newIds(), newIds()];
      await store.upsertChat({ ...theirs, messages: conversation(2) });
      await database.db.transaction(async (tx) => {
        const inside = storeOn(tx);
        await inside.upsertChat({ ...mine, messages: conversation(1) });
        const stranger = { userId: mine.userId, chatId: theirs.chatId };
        await expect(inside.upsertChat({ ...stranger, messages: [] })).rejects.toThrow(ChatOwnershipError);
        await expect(inside.upsertChat({ ...mine, messages: [], expectedVersion: 7 })).rejects.toThrow(
          ChatConflictError,
        );
        await expect(inside.upsertChat({ ...mine, chatId: "", messages: [] })).rejects.toThrow(InvalidChatError);
        await inside.upsertChat({ ...mine, messages: conversation(2), expectedVersion: 1 });
      });
      expect(await store.getChat(mine)).toMatchObject({ version: 2, messages: conversation(2) });
    });
  });
});

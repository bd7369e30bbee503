// Projects: none. Long: thorough, citus.
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ChatStore, Turn } from "../../src/index.ts";
import { conversation, say } from "../support/conversations.ts";
import { inModes, isOnCitus, servers, type TestDatabase } from "../support/databases.ts";

/** What happens to a chat while others are at it. */
describe.each(inModes(servers))("Concurrent changes on $name, $mode", ({ open, storeOn }) => {
  let database: TestDatabase;
  let store: ChatStore;
  beforeAll(async () => {
    database = await open();
    store = storeOn(database.db);
  });
  afterAll(() => database.close());

  const newIds = () => ({ userId: `user ${randomUUID()}`, chatId: `chat ${randomUUID()}` });
  const newChat = async (messages = conversation(4, 300), title?: string) => {
    const ids = newIds();
    return { ids, chat: await store.upsertChat({ ...ids, title, messages }) };
  };
  const invariants = async (chatId: string) => {
    const rows = await database.query<{ order: number }>(
      'select "order" from chat_store.messages where chat_id = $1 order by 1',
      [chatId],
    );
    expect(rows.map(({ order }) => order)).toEqual(rows.map((_, index) => index));
  };

  test("a model's title never undoes a rename in 350 races here, 2,100 in all", async () => {
    for (let round = 0; round < 35; round++) {
      await Promise.all(
        Array.from({ length: 10 }, async () => {
          const { ids } = await newChat([]);
          const renamed = store.updateChat({ ...ids, title: "By a person" });
          const made = store.updateChat({ ...ids, titleIfEmpty: "By a model" });
          expect(await renamed).toMatchObject({ title: "By a person" });
          expect(["By a person", "By a model"]).toContain((await made)?.title);
          expect(await store.getChat(ids)).toMatchObject({ title: "By a person", version: 1 });
        }),
      );
    }
  });

  test("of 20 concurrent renames that expect the same title one takes effect, and all return it", async () => {
    for (let round = 0; round < 10; round++) {
      const { ids } = await newChat();
      await store.updateChat({ ...ids, title: "Old" });
      const rename = (number: number) =>
        store.updateChat({ ...ids, title: `Title ${number}`, expectedTitle: "Old", metadata: { number } });
      const renamed = await Promise.all(Array.from({ length: 20 }, (_, number) => rename(number)));
      const title = (await store.getChat(ids))?.title;
      expect(title).toMatch(/^Title /);
      expect(renamed.map((chat) => chat?.title)).toEqual(Array(20).fill(title));
      expect(renamed.map((chat) => chat?.metadata)).toEqual(renamed.map((_, number) => ({ number })));
    }
  });

  test("each of 20 concurrent renames returns its own title", async () => {
    const { ids } = await newChat();
    const titles = Array.from({ length: 20 }, (_, number) => `Title ${number}`);
    const renamed = await Promise.all(titles.map((title) => store.updateChat({ ...ids, title })));
    expect(renamed.map((chat) => chat?.title)).toEqual(titles);
    // Twice the same: whoever comes second writes nothing, and gives what is there by then.
    const same = await Promise.all(
      [1, 2, 3].map(() => store.updateChat({ ...ids, title: "Same", metadata: { a: 1 } })),
    );
    expect(same.map((chat) => [chat?.title, chat?.metadata])).toEqual(Array(3).fill(["Same", { a: 1 }]));
  });

  test("a rename disturbs none of 100 running turns and reorders no chats", async () => {
    const { ids } = await newChat();
    const { ids: other } = await newChat();
    await database.query("update chat_store.chats set user_id = $1 where id = $2", [ids.userId, other.chatId]);
    const before = (await store.getChats(ids)).map(({ id, updatedAt, version }) => [id, updatedAt, version]);
    for (const [title, archived] of [
      ["One", true],
      ["Two", false],
    ] as const) {
      await store.updateChat({ ...ids, title, archived, metadata: { title } });
    }
    expect((await store.getChats(ids)).map(({ id, updatedAt, version }) => [id, updatedAt, version])).toEqual(before);

    const turns: Turn[] = [];
    for (let number = 0; number < 100; number++) {
      turns.push(await store.startTurn({ ...ids, message: say("user", `question ${number}`, `q${number}`) }));
    }
    const ending = async () => {
      for (const [number, { persist }] of turns.entries()) {
        await persist.onEnd({ responseMessage: say("assistant", `answer ${number}`, `a${number}`) });
      }
    };
    const renames = Array.from({ length: 40 }, (_, number) =>
      store.updateChat({ ...ids, title: `Title ${number}`, archived: number % 2 === 0, metadata: { number } }),
    );
    await Promise.all([ending(), ...renames]);
    const chat = await store.getChat(ids);
    expect(chat?.version).toBe(201);
    const said = chat?.messages.slice(4).map(({ id }) => id) ?? [];
    expect(said).toHaveLength(200);
    for (let number = 0; number < 100; number++) {
      expect(said[said.indexOf(`q${number}`) + 1]).toBe(`a${number}`);
    }
    await invariants(ids.chatId);
  });

  test("a save with an expected version never conflicts with a rename", async () => {
    const { ids } = await newChat();
    let isDone = false;
    const renaming = (async () => {
      for (let number = 0; !isDone; number++) await store.updateChat({ ...ids, title: `Title ${number}` });
    })();
    for (let version = 1; version <= 30; version++) {
      const saved = await store.upsertChat({
        ...ids,
        messages: conversation(4 + version, 300),
        expectedVersion: version,
      });
      expect(saved.version).toBe(version + 1);
    }
    isDone = true;
    await renaming;
  });

  test("concurrent deletions and changes of messages and turns all take effect", async () => {
    const { ids } = await newChat(conversation(40, 60));
    const deletes = Array.from({ length: 15 }, (_, number) =>
      store.deleteMessage({ ...ids, messageId: `m${number * 2}` }),
    );
    const changes = Array.from({ length: 15 }, (_, number) =>
      store.updateMessage({ ...ids, message: say("assistant", "changed", `m${number * 2 + 1}`) }),
    );
    const turns = Array.from({ length: 10 }, async (_, number) => {
      const turn = await store.startTurn({ ...ids, message: say("user", "question", `q${number}`) });
      await turn.persist.onEnd({ responseMessage: say("assistant", "answer", `a${number}`) });
    });
    const [deleted] = await Promise.all([Promise.all(deletes), Promise.all(changes), Promise.all(turns)]);
    expect(deleted.every((chat) => chat !== null)).toBe(true);
    const { messages = [], version } = (await store.getChat(ids)) ?? {};
    expect(version).toBe(1 + 15 + 15 + 20);
    const left = conversation(40, 60)
      .filter((_, index) => index >= 30 || index % 2 === 1)
      .map((message, index) => (index < 15 ? say("assistant", "changed", message.id) : message));
    expect(messages.slice(0, 25)).toEqual(left);
    expect(messages).toHaveLength(45);
    for (let number = 0; number < 10; number++) {
      expect(messages[messages.findIndex(({ id }) => id === `q${number}`) + 1]?.id).toBe(`a${number}`);
    }
    await invariants(ids.chatId);
    const before = await database.query("select xmin::text from chat_store.chats where id = $1", [ids.chatId]);
    await store.upsertChat({ ...ids, messages });
    expect(await database.query("select xmin::text from chat_store.chats where id = $1", [ids.chatId])).toEqual(before);
  });

  test("one of six calls succeeds in forking to one id, in deleting one chat, and in claiming one user's chats", async () => {
    const { ids } = await newChat();
    const newChatId = newIds().chatId;
    const forks = await Promise.allSettled(Array.from({ length: 6 }, () => store.forkChat({ ...ids, newChatId })));
    expect(forks.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const fork of forks) if (fork.status === "rejected") expect(fork.reason.code).toBe("CHAT_CONFLICT");
    expect((await store.getChat({ ...ids, chatId: newChatId }))?.messages).toHaveLength(4);

    const deleted = await Promise.all(Array.from({ length: 6 }, () => store.deleteChat({ ...ids, chatId: newChatId })));
    expect(deleted.filter(Boolean)).toHaveLength(1);

    const heirs = Array.from({ length: 6 }, () => newIds().userId);
    const claimed = await Promise.all(heirs.map((userId) => store.claimChats({ fromUserId: ids.userId, userId })));
    expect(claimed.reduce((total, count) => total + count, 0)).toBe(1);
  });

  test("two claims and a deletion of the same chats all end", async () => {
    for (let round = 0; round < 10; round++) {
      const [guest, user] = [newIds().userId, newIds().userId];
      await database.query(
        `insert into chat_store.chats (id, user_id, title)
         select md5(random()::text || n), $1, '' from generate_series(1, 40) n`,
        [guest],
      );
      const [claimed, again, erased] = await Promise.all([
        store.claimChats({ fromUserId: guest, userId: user }),
        store.claimChats({ fromUserId: guest, userId: user }),
        store.deleteAllChats({ userId: guest }),
      ]);
      expect(claimed + again + erased).toBe(40);
      expect(await store.getChats({ userId: user })).toHaveLength(claimed + again);
    }
  });

  test("three deletions of the same user's chats end when all are gone, and count each chat once", async () => {
    const { userId } = newIds();
    await database.query(
      "insert into chat_store.chats (id, user_id, title) select $1 || ' ' || n, $1, '' from generate_series(1, 450) n",
      [userId],
    );
    const left = async () => (await database.query("select from chat_store.chats where user_id = $1", [userId])).length;
    const counts = await Promise.all(
      [1, 2, 3].map(async () => {
        const count = await store.deleteAllChats({ userId });
        expect(await left()).toBe(0);
        return count;
      }),
    );
    expect(counts.reduce((total, count) => total + count, 0)).toBe(450);
  });

  // Citus has no triggers on distributed tables.
  test.skipIf(isOnCitus)("the store reports an error when a trigger suppresses its writes", async () => {
    const { ids } = await newChat();
    await database.query(`create function keep() returns trigger language plpgsql as $$ begin return null; end $$;
      create trigger keep before delete or update on chat_store.chats for each row execute function keep()`);
    try {
      for (const change of [
        () => store.deleteChat(ids),
        () => store.deleteAllChats(ids),
        () => store.updateChat({ ...ids, title: "Other" }),
        () => store.claimChats({ fromUserId: ids.userId, userId: "heir" }),
        () => store.deleteMessage({ ...ids, messageId: "m0" }),
      ]) {
        await expect(change()).rejects.toMatchObject({ code: "QUERY_FAILED" });
      }
    } finally {
      await database.query("drop function keep cascade");
    }
    expect(await store.deleteChat(ids)).toBe(true);
  });
});

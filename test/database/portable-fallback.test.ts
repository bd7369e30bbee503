import { type SQL, sql } from "drizzle-orm";
import { PgDialect } from "drizzle-orm/pg-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type ChatDatabase, type ChatStore, createChatStore } from "../../src/index.ts";
import { conversation, say } from "../support/conversations.ts";
import { nodePostgres, openWith, type TestDatabase } from "../support/databases.ts";

/**
 * Stands in for Citus, on which test/citus does the same: it refuses changes that return what is not immutable, and locks over
 * shards. As Postgres refuses it, so that a transaction is lost.
 */
const isRefused = (text: string) =>
  /returning (json_build_array|\(extract\(epoch from chats\.\w+\)\*)/.test(text) ||
  /order by chats\.id.* for update/.test(text);
const refusal = sql.raw("do $$ begin raise exception 'not supported' using errcode = '0A000'; end $$");

let refusals: number;
const refusing = (db: ChatDatabase): ChatDatabase =>
  Object.create(db, {
    execute: {
      value: (statement: SQL) => {
        const isSupported = !isRefused(new PgDialect().sqlToQuery(statement).sql);
        if (!isSupported) refusals++;
        return db.execute(isSupported ? statement : refusal);
      },
    },
    transaction: {
      value: (work: (tx: ChatDatabase) => Promise<unknown>, config: undefined) =>
        db.transaction((tx) => work(refusing(tx)), config),
    },
  });

let database: TestDatabase;
beforeAll(async () => {
  database = await openWith(nodePostgres);
});
afterAll(() => database.close());
beforeEach(() => {
  refusals = 0;
});

const stored = conversation(4, 600);
let chats = 0;
const newChat = async () => {
  const ids = { userId: `user ${++chats}`, chatId: `chat ${chats}` };
  await createChatStore(database.db).upsertChat({ ...ids, messages: stored });
  return ids;
};
type Ids = Awaited<ReturnType<typeof newChat>>;

const answer = async (store: ChatStore, ids: Ids) => {
  const turn = await store.startTurn({ ...ids, message: say("user", "And then?", "q") });
  await turn.persist.onEnd({ responseMessage: say("assistant", "Nothing.", turn.persist.generateMessageId()) });
};
const messagesIn = async (ids: Ids) =>
  (await createChatStore(database.db).getChat(ids))?.messages.map(({ id, parts }) => [id === "q" ? "q" : parts.length]);

/** All that changes something in a way that has to see one snapshot. */
const changes: Record<string, (store: ChatStore, ids: Ids) => Promise<unknown>> = {
  "creating a chat": (store, ids) => store.upsertChat({ ...ids, chatId: `${ids.chatId}, new`, messages: stored }),
  appending: (store, ids) => store.upsertChat({ ...ids, messages: [...stored, say("user", "More", "m4")] }),
  "saving another end": (store, ids) => store.upsertChat({ ...ids, messages: stored.slice(0, 3) }),
  "saving another middle": (store, ids) => store.upsertChat({ ...ids, messages: stored.toSpliced(1, 1) }),
  "saving the messages after a message": (store, ids) => store.upsertChat({ ...ids, after: "m1", messages: [] }),
  renaming: (store, ids) => store.updateChat({ ...ids, title: "Renamed" }),
  "changing a message": (store, ids) => store.updateMessage({ ...ids, message: say("user", "Changed", "m2") }),
  "deleting a message": (store, ids) => store.deleteMessage({ ...ids, messageId: "m1" }),
  "forking it": (store, ids) => store.forkChat({ ...ids, newChatId: `${ids.chatId}, fork` }),
  "claiming it": (store, { userId }) => store.claimChats({ fromUserId: userId, userId: `heir of ${userId}` }),
  "deleting all chats": (store, { userId }) => store.deleteAllChats({ userId }),
};

/** They go on after the call, and so take no transaction of the caller's. */
const turns: typeof changes = {
  "a turn": answer,
  "a turn in a new chat": (store, ids) => answer(store, { ...ids, chatId: `${ids.chatId}, new` }),
};

describe.each(Object.entries({ ...changes, ...turns }))("%s, where Postgres refuses the statement", (_, change) => {
  test("the store falls back after one refusal, and uses the fallback at once the next time", async () => {
    const [ids, others] = [await newChat(), await newChat()];
    const db = refusing(database.db);
    await change(createChatStore(db), ids);
    expect(refusals).toBe(1);
    await change(createChatStore(db), others);
    expect(refusals).toBe(1);

    const expected = await newChat();
    await change(createChatStore(database.db), expected);
    expect(await messagesIn(ids)).toEqual(await messagesIn(expected));
    expect(await messagesIn(others)).toEqual(await messagesIn(expected));
  });
});

describe.each(Object.entries(changes))("%s in a transaction, where Postgres refuses the statement", (_, change) => {
  test("the error asks for `portable: true`, and nothing is changed", async () => {
    const ids = await newChat();
    const before = await messagesIn(ids);
    const lost = refusing(database.db).transaction((tx) => change(createChatStore(tx as ChatDatabase), ids));
    await expect(lost).rejects.toThrow("portable: true");
    expect(await messagesIn(ids)).toEqual(before);
    await refusing(database.db).transaction((tx) =>
      change(createChatStore(tx as ChatDatabase, { portable: true }), ids),
    );
    expect(refusals).toBe(1);
  });
});

test("claimChats and deleteAllChats retry after a deadlock, and count each chat once", async () => {
  const [ids, others] = [await newChat(), await newChat()];
  const losing = () => {
    let isLost = false;
    const execute = (statement: SQL) => {
      const lost = sql.raw("do $$ begin raise exception 'lost' using errcode = '40P01'; end $$");
      if (isLost) return database.db.execute(statement);
      isLost = true;
      return database.db.execute(lost);
    };
    return createChatStore(Object.create(database.db, { execute: { value: execute } }), { portable: true });
  };
  expect(await losing().claimChats({ fromUserId: ids.userId, userId: others.userId })).toBe(1);
  expect(await losing().deleteAllChats(others)).toBe(2);
});

// Projects: thorough. Long: postgres, tables, citus.
import { randomUUID } from "node:crypto";
import type { UIMessage } from "ai";
import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ChatDatabase, type ChatStore, createChatStore } from "../../src/index.ts";
import { waitingForLocks } from "../support/citus-cluster.ts";
import { conversation, say } from "../support/conversations.ts";
import { isOnCitus } from "../support/databases.ts";
import { eventually } from "../support/eventually.ts";
import { openPool } from "../support/interleavings.ts";
import { isLong } from "../support/long-run.ts";

/**
 * Another transaction is held open at the moment of a call, and then commits or rolls back. Whatever it did, the outcome
 * must be one that could also have come about one after the other: it is compared with two chats to which the same
 * happened in either order, with nobody else around.
 */

type Ids = { userId: string; chatId: string };
type Client = { query(text: string, values?: unknown[]): Promise<unknown> };

const stored = conversation(4, 600);
const userOf = (chatId: string) => `user of ${chatId}`;
const theirs = conversation(3, 600).map(({ id, role }) => say(role, `theirs ${id}`.padEnd(600), id));

const theirStore = (client: Client) => createChatStore(drizzle(client as pg.Client));
const actions: Record<string, (client: Client, ids: Ids) => Promise<unknown>> = {
  "saved by another writer": (client, ids) =>
    theirStore(client).upsertChat({ ...ids, title: "Theirs", messages: theirs }),
  deleted: (client, { chatId }) => client.query("delete from chat_store.chats where id = $1", [chatId]),
  "deleted and created again": async (client, ids) => {
    await actions.deleted?.(client, ids);
    await actions["saved by another writer"]?.(client, ids);
  },
  "deleted and taken by another user": async (client, { chatId }) => {
    await actions.deleted?.(client, { userId: "", chatId });
    await actions["saved by another writer"]?.(client, { userId: "another user", chatId });
  },
  "given to another user": (client, { chatId }) =>
    client.query("update chat_store.chats set user_id = 'another user', version = version + 1 where id = $1", [chatId]),
  locked: (client, { chatId }) => client.query("select from chat_store.chats where id = $1 for update", [chatId]),
  "renamed and archived": (client, ids) =>
    theirStore(client).updateChat({ ...ids, title: "Renamed", archived: true, metadata: { theirs: true } }),
  "renamed by direct SQL": (client, { chatId }) =>
    client.query("update chat_store.chats set title = 'Renamed', version = version + 1 where id = $1", [chatId]),
  "shortened by one message": (client, ids) => theirStore(client).deleteMessage({ ...ids, messageId: "m1" }),
  "cut from a message on": (client, ids) =>
    theirStore(client).deleteMessage({ ...ids, messageId: "m2", following: true }),
  "changed in one message": (client, ids) =>
    theirStore(client).updateMessage({ ...ids, message: say("user", "theirs", "m2") }),
  "claimed by another user": (client, { userId }) =>
    theirStore(client).claimChats({ fromUserId: userId, userId: "another user" }),
  "changed by direct SQL": async (client, { chatId }) => {
    await client.query("update chat_store.chats set version = version + 1 where id = $1", [chatId]);
    await client.query(`update chat_store.messages set parts = '[]' where chat_id = $1 and "order" = 1`, [chatId]);
    await client.query(`delete from chat_store.messages where chat_id = $1 and "order" = 3`, [chatId]);
  },
};

/** In a transaction that a client holds open, the store has none of its own, without which it does nothing on Citus. */
const doneBySql = ["deleted", "given to another user", "locked", "renamed by direct SQL", "changed by direct SQL"];

type Call = (store: ChatStore, ids: Ids & { expectedVersion: number | undefined }) => Promise<unknown>;
const saves =
  (messages: UIMessage[], title?: string): Call =>
  (store, ids) =>
    store.upsertChat({ ...ids, title, messages });
const versioned: Record<string, Call> = {
  "saving one more message": saves([...stored, say("user", "new".padEnd(600), "new")]),
  "saving three more messages": saves([...stored, ...conversation(7, 600).slice(4)]),
  "saving the last message changed": saves(stored.with(3, say("assistant", "regenerated", "m3"))),
  "saving a message in the middle changed": saves(stored.with(1, say("assistant", "edited", "m1"))),
  "saving without the first message": saves(stored.slice(1)),
  "saving no messages": saves([]),
  "saving another title": saves(stored, "Ours"),
  "saving nothing new": saves(stored),
  "saving a new message after a given one": (store, ids) =>
    store.upsertChat({ ...ids, after: "m1", messages: [say("user", "new".padEnd(600), "new")] }),
  "changing a message": (store, ids) => store.updateMessage({ ...ids, message: say("user", "ours", "m2") }),
  "deleting a message": (store, ids) => store.deleteMessage({ ...ids, messageId: "m1" }),
  "deleting a message and all after it": (store, ids) =>
    store.deleteMessage({ ...ids, messageId: "m1", following: true }),
};
const others: Record<string, Call> = {
  "renaming and archiving": (store, ids) => store.updateChat({ ...ids, title: "Ours", archived: true }),
  "reading its last messages": async (store, ids) => (await store.getMessages({ ...ids, limit: 2 }))?.messages,
  "giving it a title if it has none": (store, ids) => store.updateChat({ ...ids, titleIfEmpty: "Ours" }),
  "deleting the chat": (store, ids) => store.deleteChat(ids),
  "forking it": (store, ids) => store.forkChat({ ...ids, newChatId: `${ids.chatId} fork`, throughMessageId: "m2" }),
  "claiming it": (store, { userId }) => store.claimChats({ fromUserId: userId, userId: `heir of ${userId}` }),
  "deleting all chats": (store, ids) => store.deleteAllChats(ids),
  "exporting all chats": async (store, ids) => {
    const exported: unknown[] = [];
    for await (const { id, messages } of store.exportChats(ids)) exported.push([id === ids.chatId, messages]);
    return exported;
  },
};
const calls = { ...versioned, ...others };

const portables = isOnCitus ? [true] : isLong ? [false, true] : [false];

describe.each(portables)("A call beside an open transaction, portable: %s", (portable) => {
  let close: () => Promise<void>;
  let pool: pg.Pool;
  beforeAll(async () => {
    ({ pool, close } = await openPool());
  });
  afterAll(() => close());

  /** A chat as its raw rows, without what differs from chat to chat. */
  const rowsOf = async (chatId: string) => {
    const { rows: chats } = await pool.query(
      `select replace(id, $1, 'chat') id, replace(replace(user_id, $2, 'u'), $1, '') user_id, title, version, archived_at is null listed,
       metadata::text, replace(claimed_from, $2, 'u') claimed_from from chat_store.chats where id like $1 || '%' order by 1`,
      [chatId, userOf(chatId)],
    );
    const { rows: messages } = await pool.query(
      `select replace(chat_id, $1, 'chat') chat_id, id, "order", role, parts::text, metadata::text
       from chat_store.messages where chat_id like $1 || '%' order by chat_id, "order"`,
      [chatId],
    );
    return { chats, messages };
  };

  const newChat = async (exists: boolean): Promise<Ids> => {
    const chatId = randomUUID();
    // Of their own, whose other chats would else be claimed, deleted and exported, too.
    const ids = { userId: userOf(chatId), chatId };
    if (exists) await createChatStore(drizzle(pool)).upsertChat({ ...ids, title: "Stored", messages: stored });
    return ids;
  };

  /** What a call came to: the version and title of the chat it gave, or whatever else it did, or the code of its error. */
  const outcomeOf = (calling: Promise<unknown>): Promise<unknown> =>
    calling.then(
      (value) => {
        const isChat = typeof value === "object" && value !== null && "version" in value && "title" in value;
        return isChat ? [value.version, value.title] : value;
      },
      (error: { code: string }) => error.code,
    );

  const callWith = (db: ChatDatabase, ids: Parameters<Call>[1], call: Call) =>
    outcomeOf(call(createChatStore(db, { portable }), ids));

  const isBlockedOrDone = async (calling: Promise<unknown>) => {
    let done = false;
    void calling.finally(() => {
      done = true;
    });
    const look = async () => ((await pool.query(waitingForLocks())).rowCount ?? 0) > 0 || done;
    await eventually("the call waits for a lock or is done", look, { every: 1 });
  };

  describe.each(isOnCitus ? [true] : [true, false])("A chat that exists already: %s", (exists) => {
    for (const action of isOnCitus ? doneBySql : Object.keys(actions)) {
      test.each(Object.entries(calls))(
        `%s comes out as before or after a transaction in which the chat is ${exists ? action : `created, then ${action}`}`,
        async (name, call) => {
          for (const end of ["commit", "rollback"]) {
            for (const expectedVersion of name in versioned ? [undefined, 1] : [undefined]) {
              const run = async (order: "at once" | "ours last" | "ours first", { inTransaction = false } = {}) => {
                const ids = await newChat(exists);
                const client = await pool.connect();
                const asked = { ...ids, expectedVersion };
                const callNow = () =>
                  inTransaction
                    ? drizzle(pool).transaction((tx) => callWith(tx, asked, call))
                    : callWith(drizzle(pool), asked, call);
                try {
                  const first = order === "ours first" ? { outcome: await callNow() } : undefined;
                  await client.query("begin");
                  // Where there was no chat, the other transaction is the one that creates it.
                  if (!exists) await actions["saved by another writer"]?.(client, ids);
                  // Theirs may be refused when ours came first.
                  await outcomeOf(actions[action]?.(client, ids) ?? expect.fail());
                  const calling = order === "at once" ? callNow() : undefined;
                  if (calling) await isBlockedOrDone(calling);
                  await client.query(end);
                  const { outcome } = first ?? { outcome: await (calling ?? callNow()) };
                  return { outcome, ...(await rowsOf(ids.chatId)) };
                } finally {
                  client.release();
                }
              };
              const oneAfterTheOther = [await run("ours last"), await run("ours first")];
              expect(oneAfterTheOther).toContainEqual(await run("at once"));
              expect(oneAfterTheOther).toContainEqual(await run("at once", { inTransaction: true }));
            }
          }
        },
      );
    }
  });
});

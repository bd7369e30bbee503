import { randomUUID } from "node:crypto";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ChatDatabase, createChatStore, migrate, type UpsertChatInput } from "../../src/index.ts";
import { conversation, say } from "../conversations.ts";
import { createDatabase } from "../databases.ts";

/**
 * Another transaction is held open at the moment of a save, and then commits or rolls back. Whatever it did, the outcome
 * must be one that could also have come about one after the other: it is compared with two chats to which the same
 * happened in either order, with nobody else around.
 */

type Ids = { userId: string; chatId: string };
type Client = { query(text: string, values?: unknown[]): Promise<unknown> };

const stored = conversation(4, 600);
const theirs = conversation(3, 600).map(({ id, role }) => say(role, `theirs ${id}`.padEnd(600), id));

const actions: Record<string, (client: Client, ids: Ids) => Promise<unknown>> = {
  "saved by another writer": (client, ids) =>
    createChatStore(drizzle(client as pg.Client)).upsertChat({ ...ids, title: "Theirs", messages: theirs }),
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
  renamed: (client, { chatId }) =>
    client.query("update chat_store.chats set title = 'Renamed', version = version + 1 where id = $1", [chatId]),
  "changed by direct SQL": async (client, { chatId }) => {
    await client.query("update chat_store.chats set version = version + 1 where id = $1", [chatId]);
    await client.query(`update chat_store.messages set parts = '[]' where chat_id = $1 and "order" = 1`, [chatId]);
    await client.query(`delete from chat_store.messages where chat_id = $1 and "order" = 3`, [chatId]);
  },
};

const saves: Record<string, Omit<UpsertChatInput, keyof Ids>> = {
  "one more message": { messages: [...stored, say("user", "new".padEnd(600), "new")] },
  "three more messages": { messages: [...stored, ...conversation(7, 600).slice(4)] },
  "the last message changed": { messages: stored.with(3, say("assistant", "regenerated", "m3")) },
  "a message in the middle changed": { messages: stored.with(1, say("assistant", "edited", "m1")) },
  "the first message removed": { messages: stored.slice(1) },
  "no messages": { messages: [] },
  "another title": { title: "Ours", messages: stored },
  "nothing new": { messages: stored },
};

describe.each([false, true])("a save while another transaction is open, portable: %s", (portable) => {
  let drop: () => Promise<void>;
  let pool: pg.Pool;
  beforeAll(async () => {
    const database = await createDatabase();
    drop = database.drop;
    pool = new pg.Pool({ connectionString: database.url, max: 8 });
    await migrate(drizzle(pool));
  });
  afterAll(async () => {
    await pool.end();
    await drop();
  });

  /** A chat as its raw rows, without what differs from chat to chat. */
  const rowsOf = async (chatId: string) => {
    const { rows: chats } = await pool.query("select user_id, title, version from chat_store.chats where id = $1", [
      chatId,
    ]);
    const { rows: messages } = await pool.query(
      `select id, "order", role, parts::text, metadata::text from chat_store.messages where chat_id = $1 order by "order"`,
      [chatId],
    );
    return { chats, messages };
  };

  const newChat = async (exists: boolean): Promise<Ids> => {
    const ids = { userId: "u", chatId: randomUUID() };
    if (exists) await createChatStore(drizzle(pool)).upsertChat({ ...ids, title: "Stored", messages: stored });
    return ids;
  };

  /** What a save came to: the version it gave, or the code of its error. */
  const outcomeOf = (saving: Promise<{ version: number }>): Promise<unknown> =>
    saving.then(
      ({ version }) => version,
      (error: { code: string }) => error.code,
    );

  const saveWith = (db: ChatDatabase, ids: Ids, save: Omit<UpsertChatInput, keyof Ids>) =>
    outcomeOf(createChatStore(db, { portable }).upsertChat({ ...ids, ...save }));

  const isBlockedOrDone = async (saving: Promise<unknown>) => {
    let done = false;
    void saving.finally(() => {
      done = true;
    });
    for (;;) {
      const { rowCount } = await pool.query(
        "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and pid <> pg_backend_pid()",
      );
      if (done || rowCount) return;
    }
  };

  describe.each([true, false])("chat exists: %s", (exists) => {
    for (const action of Object.keys(actions)) {
      test.each(Object.keys(saves))(
        `${exists ? action : `created, then ${action}`}, while saving %s`,
        async (saveName) => {
          for (const end of ["commit", "rollback"]) {
            for (const expectedVersion of [undefined, 1]) {
              const save = { ...(saves[saveName] ?? expect.fail()), expectedVersion };
              const run = async (order: "at once" | "save last" | "save first", { inTransaction = false } = {}) => {
                const ids = await newChat(exists);
                const client = await pool.connect();
                const saveNow = () =>
                  inTransaction
                    ? drizzle(pool).transaction((tx) => saveWith(tx, ids, save))
                    : saveWith(drizzle(pool), ids, save);
                try {
                  let outcome = order === "save first" ? await saveNow() : undefined;
                  await client.query("begin");
                  // Where there was no chat, the other transaction is the one that creates it.
                  if (!exists) await actions["saved by another writer"]?.(client, ids);
                  await actions[action]?.(client, ids);
                  const saving = order === "at once" ? saveNow() : undefined;
                  if (saving) await isBlockedOrDone(saving);
                  await client.query(end);
                  outcome ??= await (saving ?? saveNow());
                  return { outcome, ...(await rowsOf(ids.chatId)) };
                } finally {
                  client.release();
                }
              };
              const oneAfterTheOther = [await run("save last"), await run("save first")];
              expect(oneAfterTheOther).toContainEqual(await run("at once"));
              expect(oneAfterTheOther).toContainEqual(await run("at once", { inTransaction: true }));
            }
          }
        },
      );
    }
  });
});

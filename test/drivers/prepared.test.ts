import { describe, expect, onTestFinished, test } from "vitest";
import { createChatStore } from "../../src/index.ts";
import { conversation, say } from "../support/conversations.ts";
import {
  type Driver,
  databases,
  databasesWithoutTransactions,
  preparingThroughPgBouncer,
} from "../support/databases.ts";
import { startPgBouncer } from "../support/pgbouncer.ts";

const ids = { userId: "ada", chatId: "chat" };

const open = async (driver: Driver) => {
  const database = await driver.open();
  onTestFinished(database.close);
  return { ...database, store: createChatStore(database.db, { prepare: true }) };
};

/** From 1.21 on PgBouncer can keep them, and from 1.24 on it does unless told otherwise: whoever has such a one can try it with this. */
const bouncer = await startPgBouncer("postgres://127.0.0.1");
await bouncer.stop();
const isKept = Number(bouncer.version?.split(".")[1]) >= 24;

const direct = [...databases, ...databasesWithoutTransactions].filter(({ name }) => !name.includes("PgBouncer"));
describe.each([...direct, ...(isKept ? [preparingThroughPgBouncer] : [])])(
  "prepared statements, with $name",
  (driver) => {
    test("a store with prepared statements saves and returns the same chats", async () => {
      const { store } = await open(driver);
      for (let length = 1; length <= 12; length++) {
        await store.upsertChat({ ...ids, title: `${length}`, messages: conversation(length, 300) });
        const { chat, persist } = await store.startTurn({ ...ids, message: say("user", "And?"), limit: 3 });
        await persist.onEnd({ responseMessage: say("assistant", "So.", persist.generateMessageId()) });
        expect((await store.getChat(ids))?.messages).toHaveLength(length + 2);
        expect(await store.getMessages({ ...ids, limit: 1 })).toMatchObject({ chat: { id: chat.id }, hasMore: true });
      }
      await store.upsertChat({ ...ids, messages: conversation(12, 300).toReversed() });
      expect(await store.getChat(ids)).toMatchObject({ title: "12", messages: conversation(12, 300).toReversed() });
      expect(await store.getChats({ userId: "ada" })).toMatchObject([{ id: "chat", version: 37 }]);
      expect((await store.searchChats({ userId: "ada", query: "MESSAGE 7" })).matches).toHaveLength(1);
      await expect(store.upsertChat({ ...ids, userId: "grace", messages: [] })).rejects.toMatchObject({
        code: "CHAT_NOT_OWNED",
      });
    });
  },
);

test("PgBouncer keeps prepared statements or the store reports their loss, and every acknowledged save is stored", async () => {
  const { store, db } = await open(preparingThroughPgBouncer);
  const chats = Array.from({ length: 8 }, (_, chat) => ({ userId: "ada", chatId: `chat ${chat}` }));
  const refusals: unknown[] = [];
  const acknowledged = await Promise.all(
    chats.map(async (ids) => {
      let length = 0;
      for (let attempt = 1; attempt <= 20; attempt++) {
        const save = store.upsertChat({ ...ids, messages: conversation(length + 1, 2_000) });
        await save.then(
          () => length++,
          (error) => refusals.push(error),
        );
      }
      return { ...ids, length };
    }),
  );
  expect(refusals.length > 0).toBe(!isKept);
  for (const refusal of refusals) {
    expect(refusal).toMatchObject({
      code: "QUERY_FAILED",
      message: expect.stringMatching(/(26000|42P05), so nothing was changed.*leave out `prepare: true`/),
    });
  }
  for (const { length, ...ids } of acknowledged) {
    const chat = await createChatStore(db).getChat(ids);
    expect(chat?.messages ?? []).toEqual(conversation(length, 2_000));
  }
});

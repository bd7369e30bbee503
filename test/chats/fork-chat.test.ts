// Projects: main, drivers. Long: tables, postgres.
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ChatStore } from "../../src/index.ts";
import { waitingForLocks } from "../support/citus-cluster.ts";
import { conversation, say } from "../support/conversations.ts";
import type { TestDatabase } from "../support/databases.ts";
import { eventually } from "../support/eventually.ts";
import { kinds } from "../support/kinds.ts";

describe.each(kinds)("forkChat beside another writer on $name, $mode", ({ open, storeOn }) => {
  let database: TestDatabase;
  let store: ChatStore;
  beforeAll(async () => {
    database = await open();
    store = storeOn(database.db);
  });
  afterAll(() => database.close());

  const isWaiting = async () => {
    // Within a transaction Postgres would go on saying what it said first.
    await database.query("select pg_stat_clear_snapshot()");
    return (await database.query(waitingForLocks())).length > 0;
  };

  /** Calls while another transaction has done this to the chat and not committed it. */
  async function forkedDuring(statements: string, { throughMessageId }: { throughMessageId?: string } = {}) {
    const ids = { userId: `user ${randomUUID()}`, chatId: randomUUID() };
    const newChatId = `fork of ${ids.chatId}`;
    const messages = conversation(4).map(({ id, role }) => say(role, "first save", id));
    await store.upsertChat({ ...ids, title: "first save", messages });
    await database.query(`begin; ${statements.replaceAll("$1", `'${ids.chatId}'`)}`);
    const forking = store.forkChat({ ...ids, newChatId, throughMessageId });
    await eventually("the fork waits for the other writer", isWaiting);
    await database.query("commit");
    const fork = await forking;
    return { fork, copy: await store.getChat({ ...ids, chatId: newChatId }) };
  }

  const secondSave = `
    update chat_store.chats set version = version + 1, title = 'second save' where id = $1;
    update chat_store.messages set parts = '[{"type":"text","text":"second save"}]' where chat_id = $1;
    delete from chat_store.messages where chat_id = $1 and id = 'm3'`;

  test.each([{}, { throughMessageId: "m2" }])(
    "a fork that waits for a save of the title and the messages has both of that save: %j",
    async (options) => {
      const { fork, copy } = await forkedDuring(secondSave, options);
      expect(fork).toMatchObject({ title: "second save", version: 1 });
      expect(copy?.title).toBe("second save");
      expect(copy?.messages).toEqual(conversation(3).map(({ id, role }) => say(role, "second save", id)));
    },
  );

  test("a fork through a message that another writer deletes meanwhile is not made", async () => {
    const { fork, copy } = await forkedDuring(secondSave, { throughMessageId: "m3" });
    expect(fork).toBeNull();
    expect(copy).toBeNull();
  });

  test("a fork of a chat that another user gets meanwhile is not made", async () => {
    const { fork, copy } = await forkedDuring("update chat_store.chats set user_id = 'another user' where id = $1");
    expect(fork).toBeNull();
    expect(copy).toBeNull();
  });
});

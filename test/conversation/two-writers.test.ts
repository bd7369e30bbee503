// Projects: main, drivers, postgres, citus. Long: tables.
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { ChatStore } from "../../src/index.ts";
import { conversation, say } from "../support/conversations.ts";
import {
  databasesWithoutTransactions,
  inModes,
  isOnCitus,
  modes,
  nodePostgres,
  openWith,
  servers,
  type TestDatabase,
} from "../support/databases.ts";
import { isLong } from "../support/long-run.ts";

const serializable = {
  name: "node-postgres with serializable transactions",
  open: () =>
    openWith((url) =>
      nodePostgres(`${url}?options=${encodeURIComponent("-c default_transaction_isolation=serializable")}`),
    ),
};

const rounds = isLong ? 60 : 20;

describe.each([...inModes(servers), ...inModes([serializable, ...databasesWithoutTransactions], modes.slice(0, 1))])(
  "Concurrent writers of one chat on $name, $mode",
  ({ open, storeOn }) => {
    let database: TestDatabase;
    let store: ChatStore;
    beforeAll(async () => {
      database = await open();
      store = storeOn(database.db);
    });
    afterAll(() => database.close());

    const userId = "u";
    /** A conversation in which every message says whose it is, under ids that all writers share. */
    const by = (writer: string, count: number) =>
      conversation(count).map(({ id, role }) => say(role, `${writer} wrote ${id}`, id));

    test("the chat holds the whole conversation of one of three writers", async () => {
      for (let round = 0; round < rounds; round++) {
        const chatId = `race ${round}`;
        // Every second chat exists before the race.
        if (round % 2) await store.upsertChat({ userId, chatId, messages: by("first", round % 7) });
        const candidates = ["anna", "ben", "cleo"].map((writer, index) => by(writer, ((round + index * 3) % 9) + 1));
        await Promise.all(candidates.map((messages) => store.upsertChat({ userId, chatId, messages })));

        const chat = await store.getChat({ userId, chatId });
        expect(candidates).toContainEqual(chat?.messages);
        expect(chat?.version).toBe(candidates.length + (round % 2));
      }
    });

    test("one of four users who create the chat becomes its owner, and the store refuses the others", async () => {
      for (let round = 0; round < 20; round++) {
        const chatId = `created by one ${round}`;
        const users = ["anna", "ben", "cleo", "dora"];
        const results = await Promise.allSettled(
          users.map((userId) => store.upsertChat({ userId, chatId, messages: by(userId, 5) })),
        );
        const owners = users.filter((_, index) => results[index]?.status === "fulfilled");
        expect(owners).toHaveLength(1);
        const [owner = ""] = owners;
        expect((await store.getChat({ userId: owner, chatId }))?.messages).toEqual(by(owner, 5));
      }
    });

    test("exactly one of four writers with the same expected version wins", async () => {
      const chatId = "contested";
      await store.upsertChat({ userId, chatId, messages: [] });
      for (let expectedVersion = 1; expectedVersion <= 20; expectedVersion++) {
        const candidates = ["anna", "ben", "cleo", "dora"].map((writer, index) =>
          by(`${writer} ${expectedVersion}`, index * 2 + 1),
        );
        const results = await Promise.allSettled(
          candidates.map((messages) => store.upsertChat({ userId, chatId, messages, expectedVersion })),
        );
        const winners = candidates.filter((_, index) => results[index]?.status === "fulfilled");
        expect(winners).toHaveLength(1);
        expect(await store.getChat({ userId, chatId })).toMatchObject({
          version: expectedVersion + 1,
          messages: winners[0],
        });
        for (const result of results) {
          if (result.status === "rejected")
            expect(result.reason).toMatchObject({ code: "CHAT_CONFLICT", expectedVersion });
        }
      }
    });

    test("a reader sees only whole saves", async () => {
      const chatId = "watched";
      const candidates = ["anna", "ben"].map((writer, index) => ({
        title: writer,
        messages: by(writer, 4 + index * 3),
      }));
      let seen = 0;
      let isReading = true;
      const writes = (async () => {
        // Longer than the rounds where the reader's server process gets less of the machine than the writer's.
        for (let round = 0; round < rounds || (isReading && seen <= 10); round++)
          await store.upsertChat({ userId, chatId, ...(candidates[round % 2] ?? expect.fail()) });
      })();
      try {
        for (let writing = true; writing; ) {
          writing = await Promise.race([
            writes.then(() => false),
            new Promise<boolean>((resolve) => setImmediate(resolve, true)),
          ]);
          const chat = await store.getChat({ userId, chatId });
          if (!chat) continue;
          expect(candidates).toContainEqual({ title: chat.title, messages: chat.messages });
          seen++;
        }
      } finally {
        isReading = false;
      }
      expect(seen).toBeGreaterThan(10);
    });
  },
);

/** Portable saves are several statements in a savepoint, and savepoints of one transaction must not overlap. */
const inOneStatement = isOnCitus ? [] : inModes(servers, modes.slice(0, 1));

describe.each(inOneStatement)("Calls at once in one transaction on $name", ({ open, storeOn }) => {
  test("the chat holds the whole conversation of one of two calls", async () => {
    const database = await open();
    onTestFinished(() => database.close());
    const ids = { userId: "u", chatId: "in a transaction" };
    const [first, ...edited] = ["first", "anna", "ben"].map((writer) =>
      conversation(6).map(({ id, role }) => say(role, `${writer} wrote ${id}`, id)),
    );
    // Each leaves messages in the middle as they are, so that only a diff tells what to write.
    const candidates = edited.map((messages, index) => messages.with(2 + index, first?.[2 + index] ?? expect.fail()));
    await database.db.transaction(async (tx) => {
      const store = storeOn(tx);
      await store.upsertChat({ ...ids, messages: first ?? [] });
      await Promise.all(candidates.map((messages) => store.upsertChat({ ...ids, messages })));
    });
    const chat = await storeOn(database.db).getChat(ids);
    expect(candidates).toContainEqual(chat?.messages);
    expect(chat?.version).toBe(3);
  });
});

import { randomUUID } from "node:crypto";
import type { UIMessage } from "ai";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ChatStore, createChatStore } from "../../src/index.ts";
import { conversation, say } from "../support/conversations.ts";
import { createDatabase } from "../support/databases.ts";

const length = 1_000;

// Postgres then expects one message of each chat. So it may compare each message with each of a list, and look up one of them
// by an index of which it reads the whole chat: minutes for a few thousand messages.
describe.each([{ portable: false }, { portable: true }])(
  "In a database whose other chats have one message, portable: $portable, the store reads a long chat",
  ({ portable }) => {
    let client: pg.Client;
    let drop: () => Promise<void>;
    let store: ChatStore;
    let statements: { text: string; values: unknown[] }[] = [];

    beforeAll(async () => {
      const database = await createDatabase();
      drop = database.drop;
      client = new pg.Client(database.url);
      await client.connect();
      const logger = { logQuery: (text: string, values: unknown[]) => void statements.push({ text, values }) };
      store = createChatStore(drizzle({ client, logger }), { portable, branches: true });
      for (const table of ["chats", "messages", "turns", "branches"]) {
        await client.query(`alter table chat_store.${table} set (autovacuum_enabled = false)`);
      }
      await client.query(`
        insert into chat_store.chats (id, user_id, title) select n, 'another', '' from generate_series(1, 3000) n;
        insert into chat_store.messages (chat_id, id, "order", role, parts)
          select n, 'm', 0, 'user', '[]' from generate_series(1, 3000) n;
        insert into chat_store.turns (chat_id, id, question_id, question_digest, answer_id, replaces, beat_at)
          select n, gen_random_uuid(), 'm', '', 'a', '[]', now() from generate_series(1, 3000) n;
        insert into chat_store.branches (chat_id, id, position, message_count, messages)
          select n, gen_random_uuid(), 1, 0, '[]' from generate_series(1, 3000) n;
        analyze`);
    });
    afterAll(async () => {
      await client.end();
      await drop();
    });

    /** How many rows of chats, messages, turns and branches the server has read meanwhile, by its own count. */
    async function rowsRead(work: () => Promise<unknown>): Promise<number> {
      const read = async () => {
        await client.query("select pg_stat_force_next_flush()");
        const { rows } = await client.query<{ count: number }>(`
          select (
            (select sum(seq_tup_read) from pg_stat_user_tables where schemaname = 'chat_store') +
            (select sum(idx_tup_read) from pg_stat_user_indexes where schemaname = 'chat_store')
          )::float8 as count`);
        return rows[0]?.count ?? expect.fail();
      };
      const before = await read();
      await work();
      return (await read()) - before;
    }

    async function plansOf(statements: { text: string; values: unknown[] }[]): Promise<string[]> {
      const lines: string[] = [];
      for (const { text, values } of statements.filter(({ text }) => !/^(begin|commit|set)/i.test(text))) {
        const { rows } = await client.query<{ "QUERY PLAN": string }>(`explain ${text}`, values);
        lines.push(...rows.map((row) => row["QUERY PLAN"]));
      }
      return lines;
    }

    interface Call {
      store: ChatStore;
      ids: { userId: string; chatId: string };
      messages: UIMessage[];
    }
    const regenerate = async ({ store, ids, messages }: Call) => {
      const [message = expect.fail()] = messages;
      const { persist } = await store.startTurn({ ...ids, message, trigger: "regenerate-message" });
      await persist.onEnd({ responseMessage: say("assistant", "Again", persist.generateMessageId()) });
    };
    const switchBranch = async ({ store, ids }: Call) => {
      const [point] = await store.getBranches(ids);
      expect(await store.switchBranch({ ...ids, branchId: point?.branches[0]?.id ?? expect.fail() })).not.toBeNull();
    };

    test.each<[string, ...((call: Call) => Promise<unknown>)[]]>([
      ["loads it", ({ store, ids }) => store.getChat(ids)],
      ["loads a page of it", ({ store, ids }) => store.getMessages({ ...ids, before: "m900", limit: 100 })],
      ["finds nothing in it", ({ store, ids: { userId } }) => store.searchChats({ userId, query: "needle" })],
      [
        "finds words in it",
        ({ store, ids: { userId } }) => store.searchChats({ userId, query: "message", limit: 1_000 }),
      ],
      ["copies it", ({ store, ids }) => store.forkChat({ ...ids, newChatId: randomUUID() })],
      [
        "saves an appended message",
        ({ store, ids, messages }) => store.upsertChat({ ...ids, messages: [...messages, say("user", "And?")] }),
      ],
      [
        "saves all messages with metadata",
        ({ store, ids, messages }) =>
          store.upsertChat({ ...ids, messages: messages.map((message) => ({ ...message, metadata: {} })) }),
      ],
      [
        "saves the messages in another order",
        ({ store, ids, messages }) => store.upsertChat({ ...ids, messages: messages.toReversed() }),
      ],
      [
        "saves every other message",
        ({ store, ids, messages }) => store.upsertChat({ ...ids, messages: messages.filter((_, index) => index % 2) }),
      ],
      ["updates a message", ({ store, ids }) => store.updateMessage({ ...ids, message: say("user", "new", "m500") })],
      ["deletes a message", ({ store, ids }) => store.deleteMessage({ ...ids, messageId: "m500" })],
      [
        "deletes all messages from one on",
        ({ store, ids }) => store.deleteMessage({ ...ids, messageId: "m10", following: true }),
      ],
      [
        "edits the first question",
        ({ store, ids }) =>
          store.startTurn({ ...ids, message: say("user", "new", "m0"), trigger: "submit-message", messageId: "m0" }),
      ],
      ["generates the first answer again", regenerate],
      ["switches to the other branch", regenerate, switchBranch],
      [
        "switches back",
        async (call) => {
          await regenerate(call);
          await switchBranch(call);
        },
        switchBranch,
      ],
      [
        "exports it",
        async ({ store, ids: { userId } }) => {
          for await (const _ of store.exportChats({ userId }));
        },
      ],
      [
        "gives it to another user",
        ({ store, ids: { userId } }) => store.claimChats({ fromUserId: userId, userId: randomUUID() }),
      ],
      ["deletes it", ({ store, ids: { userId } }) => store.deleteAllChats({ userId })],
    ])("a few times when it %s", async (_, ...calls) => {
      const ids = { userId: randomUUID(), chatId: randomUUID() };
      const messages = conversation(length);
      await store.upsertChat({ ...ids, messages });
      const call = { store, ids, messages };
      for (const before of calls.slice(0, -1)) await before(call);
      statements = [];
      expect(await rowsRead(async () => calls.at(-1)?.(call))).toBeLessThan(20 * length);
      // Comparing each message with each item of a list reads no more rows, but takes the time.
      const comparing = (await plansOf(statements)).filter((line) => /Join Filter: .*json_array_elements/.test(line));
      const withOneItem = /'\["[^"]*"\]'/;
      expect(comparing.filter((line) => !withOneItem.test(line))).toEqual([]);
    });
  },
);

// Isolated: it replaces node:crypto.
import { hash, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import type { UIMessage } from "ai";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { createChatStore, type Turn } from "../../src/index.ts";
import { conversation, say } from "../support/conversations.ts";
import { countingProxy } from "../support/counting-proxy.ts";
import { createDatabase } from "../support/databases.ts";

vi.mock("node:crypto", async (load) => {
  const crypto = await load<typeof import("node:crypto")>();
  // What is hashed piece by piece goes through the same counter.
  const createHash = (algorithm: string) => {
    const hash = crypto.createHash(algorithm);
    const update = hash.update.bind(hash);
    return Object.assign(hash, {
      update: (data: Uint8Array) => {
        counted.hash(algorithm, data);
        return update(data);
      },
    });
  };
  const counted = { hash: vi.fn(crypto.hash) };
  return { ...crypto, ...counted, createHash };
});

/** Bodies of 2 KB: too large to be carried along with a save that turns out to need only the last. */
const size = 2_000;
const body = Buffer.byteLength(JSON.stringify(conversation(1, size)[0]?.parts));

const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0);

describe("The cost of each call, with node-postgres and messages of 2 KB", () => {
  let proxy: Awaited<ReturnType<typeof countingProxy>>;
  let drop: () => Promise<void>;
  let raw: pg.Client;
  let pool: pg.Pool;
  let statements: { text: string; values: unknown[] }[] = [];
  beforeAll(async () => {
    const database = await createDatabase();
    drop = database.drop;
    proxy = await countingProxy(database.url);
    // Without a limit to idling: what a new connection sends and receives would be counted with a statement.
    pool = new pg.Pool({ connectionString: proxy.url, max: 1, idleTimeoutMillis: 0 });
    // Its sockets close a little after `end`, when the database may be gone already.
    pool.on("error", () => {});
    raw = new pg.Client(database.url);
    await raw.connect();
  });
  afterAll(async () => {
    await Promise.all([pool.end(), raw.end()]);
    await proxy.close();
    await drop();
  });

  const logger = { logQuery: (text: string, values: unknown[]) => void statements.push({ text, values }) };
  const store = () => createChatStore(drizzle(pool, { logger }));
  const newIds = () => ({ userId: randomUUID(), chatId: randomUUID() });

  /** Rows inserted, updated and deleted so far, by the server's own count. */
  const rowCounts = async () => {
    // The server counts when a connection becomes idle, now and then only unless it is told to. The test's own writes
    // would else be counted as the store's, whenever they arrive.
    for (const connection of [pool, raw]) await connection.query("select pg_stat_force_next_flush()");
    const { rows } = await raw.query<{ relname: string; rows: number[] }>(
      `select relname, array[n_tup_ins, n_tup_upd, n_tup_del]::int[] as rows from pg_stat_user_tables where schemaname = 'chat_store'`,
    );
    return new Map(rows.map((row) => [row.relname, row.rows]));
  };

  const costOf = async (ids: { userId: string; chatId: string }, messages: UIMessage[]) => {
    const before = await rowCounts();
    statements = [];
    const traffic = await proxy.count(() => store().upsertChat({ ...ids, messages }));
    const after = await rowCounts();
    const rowsOf = (table: string) =>
      (after.get(table) ?? []).map((count, index) => count - (before.get(table)?.[index] ?? 0));
    return { ...traffic, chats: rowsOf("chats").join("-"), messages: rowsOf("messages").join("-") };
  };

  /** A chat of `length` messages that has already been saved once more, and what saving it again as `next` costs. */
  const costOfChange = async (length: number, next: (messages: UIMessage[]) => UIMessage[]) => {
    const ids = newIds();
    const messages = conversation(length, size);
    await store().upsertChat({ ...ids, messages });
    return costOf(ids, next(messages));
  };

  const added = (count: number) => Array.from({ length: count }, () => say("user", "added ".repeat(size / 6)));
  // Statements and round trips, then rows inserted-updated-deleted in chats and in messages.
  const changes: [string, (messages: UIMessage[]) => UIMessage[], [number, string, (length: number) => string]][] = [
    ["append 1 message", (m) => [...m, ...added(1)], [1, "0-1-0", () => "1-0-0"]],
    ["append 2 messages", (m) => [...m, ...added(2)], [2, "0-1-0", () => "2-0-0"]],
    [
      "append a short question and its answer",
      (m) => [...m, say("user", "Why?"), ...added(1)],
      [1, "0-1-0", () => "2-0-0"],
    ],
    ["append 3 messages", (m) => [...m, ...added(3)], [2, "0-1-0", () => "3-0-0"]],
    [
      "replace the last message under its id",
      (m) => [...m.slice(0, -1), say("user", "other", m.at(-1)?.id)],
      [2, "0-1-0", () => "0-1-0"],
    ],
    ["regenerate the last message", (m) => [...m.slice(0, -1), ...added(1)], [2, "0-1-0", () => "1-0-1"]],
    ["resend all messages unchanged", (m) => m, [2, "0-0-0", () => "0-0-0"]],
    [
      "cut it in half and edit the last message",
      (m) => [...m.slice(0, m.length / 2), say("user", "edited", m[m.length / 2]?.id)],
      [2, "0-1-0", (n) => `0-1-${n / 2 - 1}`],
    ],
    [
      "edit a message in the middle",
      (m) => m.with(m.length / 2, say("user", "edited", m[m.length / 2]?.id)),
      [3, "0-1-0", () => "0-1-0"],
    ],
    ["remove the first message", (m) => m.slice(1), [3, "0-1-0", (n) => `0-${n - 1}-1`]],
    ["reverse it", (m) => m.toReversed(), [3, "0-1-0", (n) => `0-${n}-0`]],
    ["empty it", () => [], [2, "0-1-0", (n) => `0-0-${n}`]],
  ];
  test.each(changes.flatMap((change) => [10, 1_000].map((length) => [length, ...change] as const)))(
    "in a chat of %i messages, the store needs a fixed number of statements to %s",
    async (length, _, next, [count, chats, messages]) => {
      expect(await costOfChange(length, next)).toMatchObject({
        statements: count,
        roundTrips: count,
        chats,
        messages: messages(length),
      });
    },
  );

  test("a new chat takes one statement with 1 message, and two with 100", async () => {
    expect(await costOf(newIds(), conversation(1, size))).toMatchObject({
      roundTrips: 1,
      chats: "1-0-0",
      messages: "1-0-0",
    });
    expect(await costOf(newIds(), conversation(100, size))).toMatchObject({
      roundTrips: 2,
      chats: "1-0-0",
      messages: "100-0-0",
    });
  });

  test("an append sends the new message and at most 2.6 KB around it, at any length of the chat", async () => {
    const [short, long] = [
      await costOfChange(10, (m) => [...m, ...added(1)]),
      await costOfChange(1_000, (m) => [...m, ...added(1)]),
    ];
    expect(short.bytesSent).toBeLessThanOrEqual(body + 2_600);
    // Of the lengths, three are written out in full; ids get longer as well.
    expect(long.bytesSent - short.bytesSent).toBeLessThan(10);
  });

  test("an append sends at most 2.6 KB around its message when it carries short messages along", async () => {
    const ids = newIds();
    await store().upsertChat({ ...ids, messages: conversation(20) });
    const { roundTrips, bytesSent } = await costOf(ids, conversation(21));
    expect(roundTrips).toBe(1);
    expect(bytesSent).toBeLessThanOrEqual(JSON.stringify(conversation(21).at(-1)?.parts).length + 2_600);
  });

  test("an append costs no more after a file of 5 MB", async () => {
    const ids = newIds();
    const file: UIMessage = {
      id: "file",
      role: "user",
      parts: [
        { type: "file", mediaType: "application/pdf", url: `data:application/pdf;base64,${"A".repeat(5_000_000)}` },
      ],
    };
    await store().upsertChat({ ...ids, messages: conversation(9, size) });
    expect((await costOf(ids, [...conversation(9, size), file])).roundTrips).toBe(1);
    const next = await costOf(ids, [...conversation(9, size), file, ...added(1)]);
    expect(next).toMatchObject({ roundTrips: 1, messages: "1-0-0" });
    expect(next.bytesSent).toBeLessThanOrEqual(body + 2_600);
  });

  test("200 turns write each message once and leave no dead rows", async () => {
    const ids = newIds();
    const before = await rowCounts();
    for (let turn = 1; turn <= 200; turn++) await store().upsertChat({ ...ids, messages: conversation(turn, 100) });
    const after = await rowCounts();
    expect((after.get("messages") ?? []).map((count, index) => count - (before.get("messages")?.[index] ?? 0))).toEqual(
      [200, 0, 0],
    );
  });

  test("an append writes at most 1.25 times the WAL of a hand-written insert and update", async () => {
    /**
     * WAL of one statement, by the server's count for this statement alone: the least of five attempts, of which the last
     * stays. Some write more than the statement asks for: whole pages after a checkpoint, or half a page of an index that
     * random ids make split.
     */
    const walOf = async ({ text, values }: { text: string; values: unknown[] }) => {
      const attempts: number[] = [];
      for (const end of ["rollback", "rollback", "rollback", "rollback", "commit"]) {
        await raw.query("begin");
        const { rows } = await raw.query(`explain (analyze, wal, format json) ${text}`, values);
        attempts.push(rows[0]["QUERY PLAN"][0].Plan["WAL Bytes"]);
        await raw.query(end);
      }
      return Math.min(...attempts);
    };
    const ids = newIds();
    await store().upsertChat({ ...ids, messages: conversation(100, size) });
    const message = conversation(102, size).at(-1);
    const floor = await walOf({
      text: `with chat as (update chat_store.chats set version = version + 1, updated_at = now() where id = $1 and user_id = $2 returning id)
        insert into chat_store.messages (chat_id, id, "order", role, parts) select id, 'floor', 100, 'user', $3::json from chat`,
      values: [ids.chatId, ids.userId, JSON.stringify(message?.parts)],
    });

    await store().upsertChat({ ...ids, messages: conversation(100, size) });
    const [append] = await statementsOf(() => ({ ...ids, messages: conversation(101, size) }));
    const ours = await walOf(append ?? expect.fail());
    expect(ours / floor).toBeLessThanOrEqual(1.25);
    expect((await store().getChat(ids))?.messages).toHaveLength(101);
  });

  /** The statements of a save that is then rolled back. */
  const statementsOf = async (input: () => Parameters<ReturnType<typeof store>["upsertChat"]>[0]) => {
    await drizzle(pool, { logger })
      .transaction(async (tx) => {
        statements = [];
        await createChatStore(tx).upsertChat(input());
        tx.rollback();
      })
      .catch(() => {});
    return statements;
  };

  test.each([10, 1_000])(
    "a turn in a chat of %i messages serialises, hashes and sends only the messages that it adds",
    async (length) => {
      const ids = newIds();
      await store().upsertChat({ ...ids, messages: conversation(length, size) });
      const [question, answer] = added(2) as [UIMessage, UIMessage];
      const stringify = vi.spyOn(JSON, "stringify");
      const hashing = vi.mocked(hash);
      const workOf = async (work: () => Promise<unknown>) => {
        stringify.mockClear();
        hashing.mockClear();
        const traffic = await proxy.count(work);
        const serialised = stringify.mock.results.map(({ value }) => String(value).length);
        const hashed = hashing.mock.calls.map(([, data]) => (typeof data === "string" ? data.length : data.byteLength));
        return { ...traffic, serialised: sum(serialised), hashed: sum(hashed) };
      };

      let turn: Turn | undefined;
      const start = await workOf(async () => {
        turn = await store().startTurn({ ...ids, message: question });
      });
      const end = await workOf(async () => turn?.persist.onEnd({ responseMessage: { ...answer, role: "assistant" } }));
      stringify.mockRestore();

      expect(start).toMatchObject({ statements: 2, roundTrips: 2 });
      expect(end).toMatchObject({ statements: 1, roundTrips: 1 });
      for (const { hashed, serialised } of [start, end]) {
        expect(serialised).toBeLessThan(body + 200);
        // The body, what goes with it, and the 20 bytes that stand for each message before.
        expect(hashed).toBeLessThan(body + 200 + 20 * (length + 1));
      }
    },
  );

  test.each([10, 1_000])(
    "the mark of a turn costs a chat of %i messages one row and no bytes beyond the 2.6 KB",
    async (length) => {
      const ids = newIds();
      await store().upsertChat({ ...ids, messages: conversation(length, size) });
      const [question, answer] = added(2) as [UIMessage, UIMessage];
      const sentBy = ({ text, values }: (typeof statements)[number]) =>
        Buffer.byteLength(text) + sum(values.map((value) => Buffer.byteLength(String(value))));
      const before = await rowCounts();
      const rowsSince = async () => {
        const after = await rowCounts();
        return ["chats", "messages", "turns", "turn_chunks", "branches"].map((table) =>
          (after.get(table) ?? []).map((count, index) => count - (before.get(table)?.[index] ?? 0)).join("-"),
        );
      };

      statements = [];
      const turn = await store().startTurn({ ...ids, message: question });
      const [load, save] = statements.map(sentBy) as [number, number];
      expect(save).toBeLessThanOrEqual(body + 2_600);
      expect(load).toBeLessThanOrEqual(1_460);
      expect(await rowsSince()).toEqual(["0-1-0", "1-0-0", "1-0-0", "0-0-0", "0-0-0"]);
      const end = await proxy.count(() => turn.persist.onEnd({ responseMessage: { ...answer, role: "assistant" } }));
      expect(end.bytesSent).toBeLessThanOrEqual(body + 2_600);
      expect(await rowsSince()).toEqual(["0-2-0", "2-0-0", "1-0-1", "0-0-0", "0-0-0"]);
    },
  );

  test("a turn needs no more statements to regenerate or to edit than to append", async () => {
    const ids = newIds();
    await store().upsertChat({ ...ids, messages: conversation(100, size) });
    const asked = [conversation(99, size).at(-1), say("user", "Edited", "m50"), say("user", "Edited", "m50")];
    for (const message of asked as UIMessage[]) {
      let turn: Turn | undefined;
      const start = await proxy.count(async () => {
        turn = await store().startTurn({ ...ids, message });
      });
      expect(start).toMatchObject({ statements: 2, roundTrips: 2 });
      const [answer] = added(1) as [UIMessage];
      const end = await proxy.count(async () =>
        turn?.persist.onEnd({ responseMessage: { ...answer, role: "assistant" } }),
      );
      expect(end).toMatchObject({ statements: 1, roundTrips: 1 });
    }
  });

  test("every verb has the cost that docs/performance.md states", async () => {
    const page = readFileSync(new URL("../../docs/performance.md", import.meta.url), "utf8");
    const [, table = ""] = /\| verb \| statements[^\n]*\n[^\n]*\n((?:\|[^\n]*\n)*)/.exec(page) ?? [];
    const promised = table
      .trim()
      .split("\n")
      .map((row) => row.split("|").map((cell) => cell.trim()))
      .map(([, verb = "", count = "", chats = "", messages = ""]) => ({ verb, count, chats, messages }));

    const [n, k, c] = [9, 3, 5];
    const ids = newIds();
    const fork = { ...ids, chatId: randomUUID() };
    const message = say("user", "other".padEnd(size), "m2");
    const guest = randomUUID();
    const longer = newIds();
    await store().upsertChat({ ...longer, messages: conversation(2, size) });
    for (let number = 0; number < c; number++) {
      await store().upsertChat({ userId: guest, chatId: randomUUID(), messages: conversation(2, size) });
    }
    await store().upsertChat({ ...ids, messages: conversation(n + k + 1, size) });
    const exportAll = async () => {
      let count = 0;
      for await (const { messages } of store().exportChats({ userId: guest })) count += messages.length;
      expect(count).toBe(2 * c);
    };
    // In the order of the table: each finds what it needs.
    const verbs: (() => Promise<unknown>)[] = [
      () => store().getMessages({ ...ids, limit: k }),
      () => store().searchChats({ ...ids, query: "message" }),
      () => store().upsertChat({ ...longer, after: "m1", messages: added(k) }),
      () => store().updateChat({ ...ids, title: "Other", archived: true, metadata: { a: 1 } }),
      () => store().updateChat({ ...ids, title: "Other", archived: true, metadata: { a: 1 } }),
      () => store().deleteChat(fork),
      () => store().forkChat({ ...ids, newChatId: randomUUID(), throughMessageId: `m${n - 1}` }),
      () => store().updateMessage({ ...ids, message }),
      () => store().updateMessage({ ...ids, message }),
      () => store().deleteMessage({ ...ids, messageId: `m${n + k}`, following: true }),
      () => store().deleteMessage({ ...ids, messageId: `m${n - 1}` }),
      () => store().claimChats({ fromUserId: guest, userId: ids.userId }),
      () => store().deleteAllChats({ userId: guest }),
      exportAll,
    ];
    expect(verbs).toHaveLength(promised.length);
    await store().forkChat({ ...ids, newChatId: fork.chatId, throughMessageId: `m${n - 1}` });

    const measured: typeof promised = [];
    for (const [index, work] of verbs.entries()) {
      const { verb = "", count = "", messages = "" } = promised[index] ?? {};
      // To be deleted and exported again.
      if (/deleteAll|export/.test(verb)) {
        for (let number = 0; number < c; number++) {
          await store().upsertChat({ userId: guest, chatId: randomUUID(), messages: conversation(2, size) });
        }
      }
      const before = await rowCounts();
      const traffic = await proxy.count(work);
      expect(traffic.roundTrips, verb).toBe(traffic.statements);
      const after = await rowCounts();
      const rowsOf = (table: string) =>
        (after.get(table) ?? []).map((rows, place) => rows - (before.get(table)?.[place] ?? 0)).join("-");
      const inLetters = (rows: string, letters: Record<number, string>) =>
        rows
          .split("-")
          .map((number) => letters[Number(number)] ?? number)
          .join("-");
      const total = messages === "0-0-n" && /All/.test(verb) ? 2 * c : n;
      measured.push({
        verb,
        // Beyond the first batch it is said in words.
        count: count.startsWith(inLetters(String(traffic.statements), { [c + 1]: "c + 1" }))
          ? count
          : String(traffic.statements),
        chats: inLetters(rowsOf("chats"), { [c]: "c" }),
        messages: inLetters(rowsOf("messages"), { [total]: "n", [k]: "k" }),
      });
    }
    expect(measured).toEqual(promised);
  });

  test("the last page of a chat and a turn in a window cost the same at any length of the chat", async () => {
    const [short, long] = [newIds(), newIds()];
    await store().upsertChat({ ...short, messages: conversation(100, size) });
    await store().upsertChat({ ...long, messages: conversation(3_000, size) });
    await raw.query("vacuum analyze chat_store.messages");
    const buffersOf = async ({ text, values }: (typeof statements)[number], isVacuumed: boolean) => {
      await raw.query("begin");
      // Before the first vacuum, Postgres does not expect anything of scans of an index alone.
      await raw.query(`set local enable_indexonlyscan = ${isVacuumed}`);
      const { rows } = await raw.query(`explain (analyze, buffers, format json) ${text}`, values);
      await raw.query("rollback");
      const { Plan: plan } = rows[0]["QUERY PLAN"][0];
      return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"];
    };
    const costs = async (work: () => Promise<unknown>) => {
      statements = [];
      const traffic = await proxy.count(work);
      const [statement = expect.fail()] = statements;
      return { ...traffic, buffers: [await buffersOf(statement, true), await buffersOf(statement, false)] };
    };
    const reading = (ids: typeof short, before?: string) =>
      costs(() => store().getMessages({ ...ids, limit: 30, before }));
    const asking = (ids: typeof short) =>
      costs(async () => {
        const turn = await store().startTurn({ ...ids, limit: 40, message: say("user", "And?") });
        // The last 40 with the question begin with an answer, which is left out.
        expect(turn.messages).toHaveLength(39);
        await turn.persist.onEnd({ responseMessage: say("assistant", "An answer", turn.persist.generateMessageId()) });
      });
    for (const cost of [reading, (ids: typeof short) => reading(ids, "m60"), asking]) {
      const [little, much] = [await cost(short), await cost(long)];
      expect(much.statements).toBe(little.statements);
      expect(much.bytesReceived).toBeLessThan(little.bytesReceived * 1.02);
      for (const [index, buffers] of much.buffers.entries()) {
        expect(buffers).toBeLessThanOrEqual((little.buffers[index] ?? 0) * 1.5);
      }
    }
  });

  describe("Reads", () => {
    test("getChat and getChats send one statement each", async () => {
      const ids = newIds();
      await store().upsertChat({ ...ids, messages: conversation(50, size) });
      expect(await proxy.count(() => store().getChat(ids))).toMatchObject({ statements: 1, roundTrips: 1 });
      expect(await proxy.count(() => store().getChats({ userId: ids.userId, limit: 20 }))).toMatchObject({
        statements: 1,
        roundTrips: 1,
      });
    });

    test("a page of 20 of a user's 5,000 chats touches at most 30 buffers, as the first page and as a later one", async () => {
      const userId = randomUUID();
      await raw.query(
        `insert into chat_store.chats (id, user_id, title, updated_at)
         select 'listed ' || n, case when n % 4 = 0 then $1 else 'other ' || n % 500 end, 'Chat ' || n, now() - n * interval '1 minute'
         from generate_series(1, 20000) n`,
        [userId],
      );
      await raw.query("vacuum analyze chat_store.chats");
      statements = [];
      const page = await store().getChats({ userId, limit: 20 });
      await store().getChats({ userId, limit: 20, before: page.at(-1) });
      expect(statements).toHaveLength(2);
      for (const { text, values } of statements) {
        const { rows } = await raw.query(`explain (analyze, buffers, format json) ${text}`, values);
        const plan = rows[0]["QUERY PLAN"][0].Plan;
        expect(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]).toBeLessThanOrEqual(30);
      }
    });
  });
});

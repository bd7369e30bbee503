import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { readMigrationFiles } from "drizzle-orm/migrator";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { migrations } from "../../src/migrate/migrations.ts";
import { createDatabase } from "../support/databases.ts";
import { isLong } from "../support/long-run.ts";
import { type Driver, drivers, migrateApplication, migrationsFolder } from "../support/start-up/application.ts";
import type { Start } from "../support/start-up/process.ts";

const rounds = Number(process.env.START_UP_ROUNDS ?? (isLong ? 20 : 2));
const chatIds = Array.from({ length: 8 }, (_, index) => `chat-${index}`);

/**
 * They live through all rounds: processes that have loaded their code and are connected start within a millisecond of each other,
 * those that have yet to be forked within a hundred.
 */
let processes: { child: ChildProcess; hasExited: AbortSignal }[];

beforeAll(() => {
  const program = fileURLToPath(new URL("../support/start-up/process.ts", import.meta.url));
  processes = chatIds.map(() => {
    const child = fork(program, { execArgv: ["--import", "tsx"] });
    const exit = new AbortController();
    child.on("exit", () => exit.abort());
    return { child, hasExited: exit.signal };
  });
});
afterAll(async () => {
  for (const { child, hasExited } of processes) {
    if (hasExited.aborted) continue;
    const exited = once(child, "exit");
    child.disconnect();
    await exited;
  }
});

/** Sends each process a message and resolves to their answers. */
const tell = (messages: (Start | "go")[]) =>
  Promise.all(
    processes.map(async ({ child, hasExited }, index) => {
      const answered = once(child, "message", { signal: hasExited });
      child.send(messages[index] ?? expect.fail());
      const [answer] = await answered;
      return answer;
    }),
  );

interface Round {
  driver: Driver;
  url: string;
  query(text: string): Promise<Record<string, unknown>[]>;
}

/** As often as there are rounds, on an empty database each, with one driver after the other. */
async function eachRound(work: (round: Round) => Promise<void>) {
  for (let round = 0; round < rounds; round++) {
    const driver = drivers[round % drivers.length] ?? expect.fail();
    const { url, drop } = await createDatabase({ empty: true });
    const client = new pg.Client(url);
    await client.connect();
    try {
      await work({ driver, url, query: async (text) => (await client.query(text)).rows });
    } finally {
      await client.end();
      await drop();
    }
  }
}

/** Every process migrates and saves a chat, all at once. `options` are each process's own, or go round. */
async function startTogether({ driver, url }: Round, ...options: Partial<Start>[]) {
  const starts = chatIds.map((chatId, index) => ({ driver, url, chatId, ...options[index % options.length] }));
  expect(await tell(starts)).toEqual(chatIds.map(() => "connected"));
  expect(await tell(chatIds.map(() => "go"))).toEqual(chatIds.map(() => "started"));
}

/** One process has migrated, and every one has saved its chat. */
async function expectChats({ query }: Round, { schema = "chat_store", ids = chatIds } = {}) {
  const ledger = migrations.map(({ version, name }) => ({ version, name }));
  expect(await query(`select version, name from ${schema}.migrations order by version`)).toEqual(ledger);
  expect(await query(`select id from ${schema}.chats order by id`)).toEqual(ids.map((id) => ({ id })));
}

/** The application's tables are as its own migrations make them, and its ledger holds these and nothing else. */
async function expectApplication({ query }: Round) {
  const ledger = readMigrationFiles({ migrationsFolder }).map(({ hash, folderMillis }) => ({
    hash,
    when: String(folderMillis),
  }));
  expect(await query('select hash, created_at as "when" from drizzle.__drizzle_migrations order by id')).toEqual(
    ledger,
  );
  const columns = await query(`
    select table_name || '.' || column_name as name from information_schema.columns
    where table_schema = 'public' order by table_name, ordinal_position`);
  expect(columns.map(({ name }) => name)).toEqual([
    "chats.id",
    "chats.topic",
    "chats.closed",
    "messages.id",
    "messages.chat_id",
  ]);
}

describe("Eight processes that start together", () => {
  test("the processes migrate an empty database once and save their chats", () =>
    eachRound(async (round) => {
      await startTogether(round);
      await expectChats(round);
    }));

  test("the processes migrate once after the application's migrations", () =>
    eachRound(async (round) => {
      await migrateApplication(round);
      await startTogether(round);
      await expectChats(round);
      await expectApplication(round);
    }));

  test("the processes migrate once before the application's migrations", () =>
    eachRound(async (round) => {
      await startTogether(round);
      await migrateApplication(round);
      await expectChats(round);
      await expectApplication(round);
    }));

  test("the processes migrate once while one more process runs the application's migrations", () =>
    eachRound(async (round) => {
      await Promise.all([startTogether(round), migrateApplication(round)]);
      await expectChats(round);
      await expectApplication(round);
    }));

  test.each(["before", "after", "at the same time"] as const)(
    "the processes migrate once when each also runs the application's migrations (%s)",
    (ownMigrations) =>
      eachRound(async (round) => {
        await startTogether(round, { ownMigrations });
        await expectChats(round);
        await expectApplication(round);
      }),
  );

  test("four processes migrate one schema once, and four another", () =>
    eachRound(async (round) => {
      await startTogether(round, {}, { schema: "assistant" });
      await expectChats(round, { ids: chatIds.filter((_, index) => index % 2 === 0) });
      await expectChats(round, { schema: "assistant", ids: chatIds.filter((_, index) => index % 2 === 1) });
    }));

  test("the processes migrate once where transactions default to a snapshot taken before the lock", () =>
    eachRound(async (round) => {
      await round.query(`do $$ begin
        execute format('alter database %I set default_transaction_isolation to serializable', current_database());
      end $$`);
      await startTogether(round);
      await expectChats(round);
    }));

  test("the processes migrate an existing schema once as a role that may not create schemas", () =>
    eachRound(async (round) => {
      const role = new URL(round.url).pathname.replace("/test_", "role_");
      await round.query(`create role ${role} login password 'secret'`);
      try {
        await round.query(`create schema chat_store authorization ${role}`);
        const url = Object.assign(new URL(round.url), { username: role, password: "secret" }).href;
        await startTogether(round, { url });
        await expectChats(round);
      } finally {
        await round.query(`drop owned by ${role} cascade`);
        await round.query(`drop role ${role}`);
      }
    }));
});

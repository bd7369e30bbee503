import { readFileSync } from "node:fs";
import type { UIMessage } from "ai";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, inject, onTestFinished, test } from "vitest";
import { purgeChats, readCutoff } from "../../src/cli/purge-chats.ts";
import { sqlStateOf } from "../../src/errors/sqlstate.ts";
import { type ChatDatabase, ChatStoreError, createChatStore, migrate } from "../../src/index.ts";
import { diagnose } from "../../src/migrate/doctor.ts";
import { applyMigrations } from "../../src/migrate/migrate.ts";
import { distributionScript, policyScript } from "../../src/migrate/migration-script.ts";
import { migrations } from "../../src/migrate/migrations.ts";
import { crashWorkers, tasksOf, withClient } from "../support/citus-cluster.ts";
import { conversation, say } from "../support/conversations.ts";
import { createDatabase } from "../support/databases.ts";
import { eventually } from "../support/eventually.ts";

const isCitus = inject("isCitus");
const tables = ["branches", "chats", "messages", "turn_chunks", "turns"];

let url: string;
let drop: () => Promise<void>;
let pool: pg.Pool;
let db: ChatDatabase;
beforeAll(async () => {
  ({ url, drop } = await createDatabase());
  pool = new pg.Pool({ connectionString: url });
  pool.on("error", () => {}).on("connect", (client) => client.on("error", () => {}));
  db = drizzle({ client: pool });
});
afterAll(async () => {
  await pool.end();
  await drop();
});

const query = async (text: string) => (await pool.query(text)).rows;
const distributed = () =>
  query(`select logicalrelid::text name, column_to_column_name(logicalrelid, partkey) "column", colocationid
from pg_dist_partition where logicalrelid::text like 'chat_store.%' order by 1`);
const local = async () => {
  const { differences } = await diagnose(db, "chat_store");
  return differences.map(({ object, found }) => `${object}: ${found}`);
};

/** The tables as a database has them that was distributed at this version. */
async function start(version: number) {
  // A test that failed may have left none.
  await query("drop schema if exists chat_store cascade");
  await applyMigrations(db, "chat_store", undefined, migrations.slice(0, version));
  await pool.query(distributionScript("chat_store"));
}

describe.runIf(isCitus)("a store on Citus", () => {
  beforeEach(() => start(migrations.length));

  test("the statements of `sql --citus` distribute all tables by chat, and change nothing when run again", async () => {
    const [first, ...others] = await distributed();
    expect([first, ...others]).toMatchObject(
      tables.map((table) => ({ name: `chat_store.${table}`, column: table === "chats" ? "id" : "chat_id" })),
    );
    expect(others.every(({ colocationid }) => colocationid === first?.colocationid)).toBe(true);
    await pool.query(distributionScript("chat_store"));
    expect(await distributed()).toEqual([first, ...others]);
    expect(await diagnose(db, "chat_store")).toEqual({ differences: [], additions: [], ledger: true });
  });

  test("the statements of `sql --citus` distribute the stored chats, too", async () => {
    await query("drop schema chat_store cascade");
    await migrate(db);
    const ids = { userId: "u", chatId: "c" };
    await createChatStore(db).upsertChat({ ...ids, messages: conversation(4) });
    await pool.query(distributionScript("chat_store"));
    const store = createChatStore(db, { portable: true });
    expect((await store.getChat(ids))?.messages).toEqual(conversation(4));
    expect(await store.deleteChat(ids)).toBe(true);
    expect(await query("select from chat_store.messages")).toEqual([]);
  });

  test.each([
    { table: "turn_chunks", keys: ["turn_chunks_chat_id_turn_id_turns_chat_id_id_fk"] },
    { table: "branches", keys: ["branches_chat_id_chats_id_fk", "branches_chat_id_parent_branches_chat_id_id_fk"] },
  ])("doctor names the table $table when it is local or apart from the chats", async ({ table, keys }) => {
    await query(`drop table chat_store.${table}`);
    const statements = migrations.flatMap((migration) => migration.statements);
    const [create, ...references] = statements.filter((text) => text.includes(`"${table}"`));
    await query(create ?? "");
    expect(await local()).toEqual([
      ...keys.map((key) => `constraint ${table}.${key}: undefined`),
      `distribution of ${table}: local`,
    ]);
    await query(`select create_distributed_table('chat_store.${table}', 'chat_id', colocate_with => 'none')`);
    expect((await local()).at(-1)).toBe(`distribution of ${table}: by chat_id, apart from chats`);
    await query(`select undistribute_table('chat_store.${table}')`);
    for (const reference of references) await query(reference);
    expect(await local()).toEqual([`distribution of ${table}: local`]);
    await pool.query(distributionScript("chat_store"));
    expect(await local()).toEqual([]);
  });

  test("migrate takes distributed tables from 0.1.0 to the newest version on all shards, and keeps the chats", async () => {
    await start(1);
    await query(
      "insert into chat_store.chats (id, user_id, title) select 'c' || n, 'u', 'Tides' from generate_series(1, 100) n",
    );
    await migrate(db);
    expect(await diagnose(db, "chat_store")).toEqual({ differences: [], additions: [], ledger: true });
    expect(await createChatStore(db, { portable: true }).getChats({ userId: "u" })).toHaveLength(100);
    const [columns] = await query(
      "select count(*)::int, min(result), max(result) from run_command_on_shards('chat_store.chats', $$select count(archived_at) from %s$$)",
    );
    expect(columns).toMatchObject({ min: "0", max: "0" });
  });

  test("migrate distributes the table of branches beside the chats, also in a database distributed before it came", async () => {
    await start(4);
    const ids = { userId: "u", chatId: "c" };
    await createChatStore(db, { portable: true }).upsertChat({ ...ids, messages: conversation(2) });
    expect(await distributed()).toHaveLength(4);
    await migrate(db);
    expect(await distributed()).toHaveLength(5);
    expect(await local()).toEqual([]);

    const store = createChatStore(db, { portable: true, branches: true });
    const [question] = conversation(1);
    const turn = await store.startTurn({ ...ids, message: question as UIMessage, trigger: "regenerate-message" });
    await turn.persist.onEnd({ responseMessage: say("assistant", "Anew", turn.persist.generateMessageId()) });
    const [point] = await store.getBranches(ids);
    expect(point).toMatchObject({ afterMessageId: "m0", position: 2, count: 2 });
    await store.switchBranch({ ...ids, branchId: point?.branches[0]?.id ?? "" });
    expect((await store.getChat(ids))?.messages).toEqual(conversation(2));
    expect(await store.deleteChat(ids)).toBe(true);
    expect(await query("select from chat_store.branches")).toEqual([]);
  });

  test("migrate distributes the tables that a migration adds, in the same transaction", async () => {
    // As if turns had come later than they did.
    const isOfTurns = (text: string) => /turn(s|_chunks)"/.test(text);
    const known = migrations.map((migration) => ({
      ...migration,
      statements: migration.statements.filter((text) => !isOfTurns(text)),
    }));
    await query("drop schema chat_store cascade");
    await applyMigrations(db, "chat_store", undefined, known);
    await pool.query(distributionScript("chat_store"));
    expect(await distributed()).toHaveLength(3);

    const statements = migrations.flatMap((migration) => migration.statements.filter(isOfTurns));
    const later = { version: migrations.length + 1, name: "9999_turns", breaking: false, statements };
    const fails = { ...later, name: "9999_fails", statements: [...statements, "select 1 / 0"] };
    await expect(applyMigrations(db, "chat_store", undefined, [...known, fails])).rejects.toThrow("9999_fails");
    expect(await distributed()).toHaveLength(3);
    await applyMigrations(db, "chat_store", undefined, [...known, later]);
    expect(await distributed()).toHaveLength(5);
    expect(await local()).toEqual([]);
  });

  test("a store without `portable: true` falls back at its first save, once, and loses nothing", async () => {
    const asked: string[] = [];
    const watched = drizzle({ client: pool, logger: { logQuery: (text) => asked.push(text) } });
    const ids = { userId: "u", chatId: "c" };
    await createChatStore(watched).upsertChat({ ...ids, messages: conversation(3) });
    expect(asked.filter((text) => text.startsWith("with"))).toEqual([expect.stringMatching(/^with args/)]);
    asked.length = 0;
    await createChatStore(watched).upsertChat({ ...ids, messages: conversation(4) });
    expect(asked.filter((text) => text.startsWith("with"))).toEqual([]);
    expect((await createChatStore(watched).getChat(ids))?.messages).toEqual(conversation(4));
  });

  test("Citus refuses the policies for row-level security, all of them", async () => {
    await withClient(url, (client) => expect(client.query(policyScript("chat_store"))).rejects.toThrow());
    expect(await query("select from pg_policies where schemaname = 'chat_store'")).toEqual([]);
  });

  test("the error in a transaction of the caller, which is lost, asks for `portable: true`", async () => {
    const ids = { userId: "u", chatId: "c" };
    const save = db.transaction((tx) => createChatStore(tx).upsertChat({ ...ids, messages: conversation(3) }));
    await expect(save).rejects.toThrow("portable: true");
    await expect(save).rejects.toBeInstanceOf(ChatStoreError);
    await db.transaction((tx) => createChatStore(tx, { portable: true }).upsertChat({ ...ids, messages: [] }));
    expect(await createChatStore(db).getChat(ids)).toMatchObject({ version: 1, messages: [] });
  });

  test("Citus refuses to purge, and the statement in docs/scaling.md deletes the old chats", async () => {
    const store = createChatStore(db, { portable: true });
    for (const chatId of ["old", "young"]) await store.upsertChat({ userId: "u", chatId, messages: conversation(2) });
    await query("update chat_store.chats set updated_at = now() - interval '400 days' where id = 'old'");
    const before = await readCutoff(db, "chat_store", 365);
    const chats = async (dryRun: boolean) => (await purgeChats(db, "chat_store", { before, dryRun }, () => {})).chats;
    expect(await chats(true)).toBe(1);
    expect(sqlStateOf(await chats(false).catch((error) => error))).toBe("0A000");
    expect(await store.getChats({ userId: "u" })).toHaveLength(2);
    const [, statement = ""] = readFileSync("docs/scaling.md", "utf8").match(/`(delete from [^`]+)`/) ?? [];
    await query(statement);
    expect(await store.getChats({ userId: "u" })).toMatchObject([{ id: "young" }]);
    expect(await query("select distinct chat_id from chat_store.messages")).toEqual([{ chat_id: "young" }]);
  });

  test("each method asks as many shards as docs/scaling.md says", async () => {
    const asked: { text: string; values: unknown[] }[] = [];
    const logger = { logQuery: (text: string, values: unknown[]) => asked.push({ text, values }) };
    const store = createChatStore(drizzle({ client: pool, logger }), { portable: true });
    const ids = { userId: "u", chatId: "c" };
    const answer = say("assistant", "An answer", "a");
    let turn: Awaited<ReturnType<typeof store.startTurn>> | undefined;
    const verbs: Record<string, () => Promise<unknown>> = {
      "`upsertChat`": () => store.upsertChat({ ...ids, messages: conversation(6) }),
      "`getChat`": () => store.getChat(ids),
      "`getMessages`": () => store.getMessages({ ...ids, limit: 2 }),
      "`updateChat`": () => store.updateChat({ ...ids, title: "Tides", archived: false }),
      "`updateMessage`": () => store.updateMessage({ ...ids, message: say("user", "Changed", "m0") }),
      "`deleteMessage`": () => store.deleteMessage({ ...ids, messageId: "m5" }),
      "`startTurn`": async () => {
        turn = await store.startTurn({ ...ids, message: say("user", "A question", "q") });
      },
      "`persist`, the answer": async () =>
        turn?.persist.onEnd({ responseMessage: answer, messages: [answer] } as never),
      "`resumeTurn`": () => store.resumeTurn(ids),
      "`stopTurn`": () => store.stopTurn(ids),
      "`deleteChat`": () => store.deleteChat(ids),
      "`forkChat`": async () => {
        await store.upsertChat({ ...ids, messages: conversation(2) });
        asked.length = 0;
        await store.forkChat({ ...ids, newChatId: "a fork" });
      },
      "`getChats`": () => store.getChats({ userId: "u", limit: 20 }),
      "`searchChats`": () => store.searchChats({ userId: "u", query: "tide" }),
      "`claimChats`": () => store.claimChats({ fromUserId: "u", userId: "v" }),
      "`deleteAllChats`": () => store.deleteAllChats({ userId: "v" }),
    };
    const rows = [];
    for (const [name, call] of Object.entries(verbs)) {
      asked.length = 0;
      await call();
      const tasks = [];
      for (const { text, values } of asked) tasks.push(await tasksOf(pool, text, values));
      rows.push(`| ${name} | ${tasks.join(", ")} |`);
    }
    expect(readFileSync("docs/scaling.md", "utf8")).toContain(rows.join("\n"));
  });

  test("every acknowledged save survives crashes of workers under load, no chat is torn, and saves go on", async () => {
    const store = createChatStore(db, { portable: true });
    const acknowledged = new Map<string, number>();
    let stop = false;
    let failures = 0;
    const writer = async (userId: string) => {
      for (let round = 0; !stop; round++) {
        const chatId = `${userId}, chat ${round % 5}`;
        const length = Math.floor(round / 5) + 1;
        try {
          await store.upsertChat({ userId, chatId, messages: conversation(length) });
          acknowledged.set(chatId, length);
        } catch (error) {
          failures++;
          expect(ChatStoreError.isInstance(error) && error.code).toBe("QUERY_FAILED");
          round--;
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      }
    };
    const writers = Promise.all(["a", "b", "c", "d"].map(writer));
    const until = (saves: number) =>
      eventually(
        `${saves} saves are acknowledged`,
        () => [...acknowledged.values()].reduce((sum, length) => sum + length, 0) >= saves,
      );
    for (const saves of [100, 200, 300]) {
      await until(saves);
      await crashWorkers(url);
    }
    await until(500);
    stop = true;
    await writers;
    expect(failures).toBeGreaterThan(0);
    for (const [chatId, length] of acknowledged) {
      const chat = await store.getChat({ userId: chatId.slice(0, 1), chatId });
      const stored = chat?.messages.length ?? 0;
      expect([length, length + 1]).toContain(stored);
      expect(chat?.messages).toEqual(conversation(stored));
    }
  });
});

test("migrate and doctor work on Postgres without the Citus extension", async () => {
  await query("drop schema if exists elsewhere cascade");
  onTestFinished(async () => void (await query("drop schema elsewhere cascade")));
  await migrate(db, { schema: "elsewhere" });
  expect(await diagnose(db, "elsewhere")).toEqual({ differences: [], additions: [], ledger: true });
});

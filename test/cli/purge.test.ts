import { fileURLToPath } from "node:url";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { expect, onTestFinished, test } from "vitest";
import { runCommandLine } from "../../src/cli/command-line.ts";
import { createChatStore, migrate } from "../../src/index.ts";
import { policyScript } from "../../src/migrate/migration-script.ts";
import { conversation, say } from "../support/conversations.ts";
import { createDatabase } from "../support/databases.ts";

const folder = fileURLToPath(new URL("../..", import.meta.url));

async function openDatabase(schema = "chat_store") {
  const { url, drop } = await createDatabase({ empty: true });
  const pool = new pg.Pool({ connectionString: url });
  // Its sockets close a little after `end`, when the database may be gone already.
  pool.on("error", () => {});
  onTestFinished(async () => {
    await pool.end();
    await drop();
  });
  const db = drizzle(pool);
  await migrate(db, { schema });
  return { url, pool, store: createChatStore(db, { schema }), quoted: `"${schema.replaceAll('"', '""')}"` };
}

async function purge(databaseUrl: string, ...args: string[]) {
  const lines: string[] = [];
  const print = (text: string) => void lines.push(text);
  const exitCode = await runCommandLine(["purge", "--json", ...args], {
    ...{ databaseUrl, folder, print },
    printError: expect.fail,
  });
  return { exitCode, ...JSON.parse(lines.join("\n")) };
}

test.each(["chat_store", `it's a "schema"`])(
  "purge deletes the inactive chats of every user in schema %s, and nothing else",
  async (schema) => {
    const { url, pool, store, quoted } = await openDatabase(schema);
    const ages = { young: 0, "just young enough": 364.9, "too old": 365.1, ancient: 4_000 };
    for (const [chatId, days] of Object.entries(ages)) {
      const ids = { userId: `user of ${chatId}`, chatId };
      await store.upsertChat({ ...ids, messages: conversation(3) });
      await pool.query(`update ${quoted}.chats set updated_at = now() - $2 * interval '1 day' where id = $1`, [
        chatId,
        days,
      ]);
      // To be renamed is no activity.
      await store.updateChat({ ...ids, title: chatId, archived: chatId === "ancient" });
    }
    const ids = async () => (await pool.query(`select id from ${quoted}.chats order by id`)).rows.map(({ id }) => id);
    const args = ["--older-than", "365d", "--schema", schema];
    const before = await ids();
    const expected = { exitCode: 0, schema, chats: 2, turns: 0, before: expect.stringMatching(/^\d{4}-.*Z$/) };
    expect(await purge(url, ...args, "--dry-run")).toEqual({ ...expected, dryRun: true });
    expect(await ids()).toEqual(before);
    expect(await purge(url, ...args)).toEqual({ ...expected, dryRun: false });
    expect(await ids()).toEqual(["just young enough", "young"]);
    const { rows } = await pool.query(`select distinct chat_id from ${quoted}.messages order by 1`);
    expect(rows.map(({ chat_id }) => chat_id)).toEqual(["just young enough", "young"]);
    expect(await purge(url, ...args)).toMatchObject({ exitCode: 0, chats: 0, turns: 0 });
  },
);

test("purge reports its deletions in a sentence", async () => {
  const { url, pool, store } = await openDatabase();
  await store.upsertChat({ userId: "u", chatId: "c", messages: [] });
  await pool.query("update chat_store.chats set updated_at = '2000-01-01'");
  const lines: string[] = [];
  const print = (text: string) => void lines.push(text);
  const args = ["purge", "--older-than", "1d"];
  expect(await runCommandLine(args, { databaseUrl: url, folder, print, printError: expect.fail })).toBe(0);
  expect(lines).toEqual([
    "So far: 1 chat",
    expect.stringMatching(/^Deleted 1 chat without activity since .*Z, and what is left of 0 ended turns\.$/),
  ]);
});

test("purge deletes thousands of chats, and leaves chats that another transaction has locked to a later run", async () => {
  const { url, pool } = await openDatabase();
  await pool.query(
    `insert into chat_store.chats (id, user_id, title, updated_at)
     select 'chat ' || n, 'u', '', now() - (n % 3) * interval '10 days' from generate_series(1, 7000) n`,
  );
  const user = await pool.connect();
  await user.query("begin");
  // One that is old, and is being saved right now.
  await user.query("update chat_store.chats set updated_at = now() where id = 'chat 1'");
  const other = await pool.connect();
  await other.query("begin");
  await other.query("select from chat_store.chats where id = 'chat 2' for update");
  try {
    expect(await purge(url, "--older-than", "5d", "--dry-run")).toMatchObject({ chats: 4_667 });
    expect(await purge(url, "--older-than", "5d")).toMatchObject({ chats: 4_665 });
  } finally {
    await user.query("commit");
    await other.query("rollback");
    user.release();
    other.release();
  }
  expect(await purge(url, "--older-than", "5d")).toMatchObject({ chats: 1 });
  const { rows } = await pool.query("select count(*)::int from chat_store.chats");
  expect(rows).toEqual([{ count: 2_334 }]);
});

test("purge removes the remains of ended turns, and keeps a recording that may still become an answer", async () => {
  const { url, pool, store } = await openDatabase();
  const recorded = async (chatId: string) => {
    const turn = await store.startTurn({ userId: "u", chatId, message: say("user", "Why?") });
    const events = [
      { type: "start", messageId: turn.persist.generateMessageId() },
      { type: "text-start", id: "1" },
      { type: "text-delta", id: "1", delta: "Because" },
    ];
    const stream = ReadableStream.from(events.map((event) => `data: ${JSON.stringify(event)}\n\n`));
    await turn.consumeSseStream({ stream });
    return turn;
  };
  const ended = await recorded("ended");
  await ended.persist.onEnd({ responseMessage: say("assistant", "Because") });
  await recorded("died");
  await store.startTurn({ userId: "u", chatId: "never spoke", message: say("user", "Why?") });
  await store.startTurn({ userId: "u", chatId: "runs", message: say("user", "Why?") });
  await pool.query(
    `update chat_store.turns set started_at = now() - interval '2 days', beat_at = now() - interval '2 days',
     ended_at = ended_at - interval '2 days' where chat_id <> 'runs'`,
  );
  expect(await purge(url, "--older-than", "30d", "--dry-run")).toMatchObject({ chats: 0, turns: 2 });
  expect(await purge(url, "--older-than", "30d")).toMatchObject({ chats: 0, turns: 2 });
  const { rows } = await pool.query("select chat_id from chat_store.turns order by 1");
  expect(rows.map(({ chat_id }) => chat_id)).toEqual(["died", "runs"]);
  expect((await pool.query("select distinct chat_id from chat_store.turn_chunks")).rows).toEqual([{ chat_id: "died" }]);
  await store.resumeTurn({ userId: "u", chatId: "died" });
  const chat = await store.getChat({ userId: "u", chatId: "died" });
  expect(chat?.messages.at(-1)).toMatchObject({ role: "assistant", parts: [{ text: "Because" }] });
});

test("purge fails with a reason where row-level security hides all chats from it", async () => {
  const { url, pool, store } = await openDatabase();
  await store.upsertChat({ userId: "u", chatId: "c", messages: [] });
  const role = `purger_${process.pid}`;
  await pool.query(policyScript("chat_store"));
  await pool.query(`create role ${role}; grant usage on schema chat_store to ${role};
    grant select, delete on all tables in schema chat_store to ${role}`);
  try {
    const asRole = `${url}?options=${encodeURIComponent(`-c role=${role}`)}`;
    expect(await purge(asRole, "--older-than", "1d")).toEqual({
      exitCode: 3,
      error: { code: "QUERY_FAILED", message: expect.stringMatching(/^Row-level security hides .* BYPASSRLS\.$/) },
    });
  } finally {
    await pool.query(`drop owned by ${role}; drop role ${role}`);
  }
});

import { fileURLToPath } from "node:url";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { expect, onTestFinished, test } from "vitest";
import { runCommandLine } from "../../src/cli/command-line.ts";
import { createChatStore, migrate } from "../../src/index.ts";
import { policyScript } from "../../src/migrate/migration-script.ts";
import { conversation, say } from "../support/conversations.ts";
import { createDatabase } from "../support/databases.ts";
import { eventually } from "../support/eventually.ts";

const cwd = fileURLToPath(new URL("../..", import.meta.url));

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
    ...{ databaseUrl, cwd, print },
    printError: expect.fail,
  });
  const { database: _, ...document } = JSON.parse(lines.join("\n"));
  return { exitCode, ...document };
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
    await pool.query(`insert into ${quoted}.branches (chat_id, id, position, message_count, messages)
      select id, gen_random_uuid(), 1, 0, '[]' from ${quoted}.chats`);
    const ids = async () => (await pool.query(`select id from ${quoted}.chats order by id`)).rows.map(({ id }) => id);
    const args = ["--older-than", "365d", "--schema", schema];
    const before = await ids();
    const expected = {
      exitCode: 0,
      schema,
      chats: 2,
      turns: 0,
      inUse: 0,
      refused: [],
      before: expect.stringMatching(/^\d{4}-.*Z$/),
    };
    expect(await purge(url, ...args, "--dry-run")).toEqual({ ...expected, dryRun: true });
    expect(await ids()).toEqual(before);
    expect(await purge(url, ...args)).toEqual({ ...expected, dryRun: false });
    expect(await ids()).toEqual(["just young enough", "young"]);
    for (const table of ["messages", "branches"]) {
      const { rows } = await pool.query(`select distinct chat_id from ${quoted}.${table} order by 1`);
      expect(rows.map(({ chat_id }) => chat_id)).toEqual(["just young enough", "young"]);
    }
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
  expect(await runCommandLine(args, { databaseUrl: url, cwd, print, printError: expect.fail })).toBe(0);
  expect(lines.slice(1)).toEqual([
    expect.stringMatching(/^Deleted 1 chat without activity since \d{4}-\d\d-\d\d \d\d:\d\d UTC\.$/),
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
    expect(await purge(url, "--older-than", "5d")).toMatchObject({ chats: 4_665, inUse: 2 });
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

test("purge leaves old chats in which a turn runs, recorded or not, and deletes those whose turn has died", async () => {
  const { url, pool, store } = await openDatabase();
  const streams: { enqueue(chunk: string): void; close(): void }[] = [];
  const approval = {
    id: "approved",
    role: "assistant" as const,
    parts: [{ type: "tool-remove", toolCallId: "t", state: "approval-requested", input: {}, approval: { id: "a" } }],
  };
  const start = async (chatId: string, { recorded }: { recorded: boolean }) => {
    const ids = { userId: "u", chatId };
    await store.upsertChat({ ...ids, messages: [say("user", "Why?", "q"), approval as never] });
    await pool.query("update chat_store.chats set updated_at = '2000-01-01' where id = $1", [chatId]);
    // Neither changes a message, so that neither is activity.
    const turn = await store.startTurn({ ...ids, message: say("user", "Why?", "q"), trigger: "regenerate-message" });
    if (recorded) {
      const stream = new ReadableStream<string>({ start: (controller) => void streams.push(controller) });
      void turn.consumeSseStream({ stream });
      const events = [
        { type: "start", messageId: turn.persist.generateMessageId() },
        { type: "text-start", id: "1" },
        { type: "text-delta", id: "1", delta: "Because" },
      ];
      for (const event of events) streams.at(-1)?.enqueue(`data: ${JSON.stringify(event)}\n\n`);
      const look = () => pool.query("select from chat_store.turns where chat_id = $1 and chunks > 0", [chatId]);
      await eventually("something is recorded", async () => (await look()).rowCount === 1);
    }
    return turn;
  };
  await start("recorded", { recorded: true });
  const unrecorded = await start("not recorded, for an hour", { recorded: false });
  await start("superseded", { recorded: false });
  await start("died without a word", { recorded: false });
  const ids = { userId: "u", chatId: "approval" };
  const asked = {
    ...approval,
    parts: [{ ...approval.parts[0], state: "approval-responded", approval: { id: "a", approved: true } }],
  };
  await store.upsertChat({ ...ids, messages: [say("user", "Why?", "q"), approval as never] });
  await store.startTurn({ ...ids, message: asked as never });
  await pool.query(`
    update chat_store.chats set updated_at = '2000-01-01';
    update chat_store.turns set started_at = now() - interval '1 hour', beat_at = now() - interval '1 hour' where chat_id like 'not recorded%';
    update chat_store.turns set superseded = true where chat_id = 'superseded';
    update chat_store.turns set started_at = now() - interval '25 hours' where chat_id like 'died%';
    insert into chat_store.chats (id, user_id, title, updated_at) values ('died in the middle', 'u', '', '2000-01-01'), ('idle', 'u', '', '2000-01-01');
    insert into chat_store.turns (chat_id, id, question_id, question_digest, answer_id, replaces, beat_at, chunks)
      values ('died in the middle', gen_random_uuid(), 'q', '', 'a', '[]', now() - interval '1 hour', 3)`);

  const expected = { exitCode: 0, chats: 4, inUse: 3 };
  expect(await purge(url, "--older-than", "365d", "--dry-run")).toMatchObject(expected);
  expect(await purge(url, "--older-than", "365d")).toMatchObject(expected);
  const { rows } = await pool.query("select id from chat_store.chats order by id");
  expect(rows.map(({ id }) => id)).toEqual(["approval", "not recorded, for an hour", "recorded"]);
  await unrecorded.persist.onEnd({ responseMessage: say("assistant", "Because") });
  const stored = await store.getChat({ userId: "u", chatId: "not recorded, for an hour" });
  expect(stored?.messages.at(-1)).toMatchObject({ parts: [{ text: "Because" }] });
  for (const stream of streams) stream.close();
});

test("purge leaves a chat in which a turn starts while purge looks at it", async () => {
  const { url, pool, store } = await openDatabase();
  const ids = { userId: "u", chatId: "c" };
  await store.upsertChat({ ...ids, messages: [say("user", "Why?", "q")] });
  const role = `slow_purger_${process.pid}`;
  // To find out that it may not see this mark, purge waits for a lock, when its statement has its snapshot.
  await pool.query(`
    insert into chat_store.turns (chat_id, id, question_id, question_digest, answer_id, replaces) values ('c', gen_random_uuid(), 'other', '', 'a', '[]');
    create function chat_store.wait() returns boolean language plpgsql as $$ begin
      perform pg_advisory_lock_shared(1), pg_advisory_unlock_shared(1); return false; end $$;
    alter table chat_store.turns enable row level security;
    create policy slow on chat_store.turns using (chat_store.wait());
    create role ${role}; grant usage on schema chat_store to ${role};
    grant select, update, delete on all tables in schema chat_store to ${role};
    update chat_store.chats set updated_at = '2000-01-01'`);
  const holder = await pool.connect();
  await holder.query("select pg_advisory_lock(1)");
  try {
    const purging = purge(`${url}?options=${encodeURIComponent(`-c role=${role}`)}`, "--older-than", "1d");
    const waiting =
      "select from pg_locks where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())";
    await eventually("purge waits", async () => (await pool.query(waiting)).rowCount === 1);
    await store.startTurn({ ...ids, message: say("user", "Why?", "q"), trigger: "regenerate-message" });
    await holder.query("select pg_advisory_unlock(1)");
    expect(await purging).toMatchObject({ exitCode: 0, chats: 0, inUse: 1 });
    expect(await store.getChat(ids)).toMatchObject({ messages: [{ id: "q" }] });
  } finally {
    holder.release(true);
    await pool.query(`drop owned by ${role}; drop role ${role}`);
  }
});

test("purge deletes all chats but those that a table of the application refers to, lists these and exits with 1", async () => {
  const { url, pool } = await openDatabase();
  await pool.query(`
    insert into chat_store.chats (id, user_id, title, updated_at)
      select 'c' || lpad(n::text, 5, '0'), 'u', '', '2000-01-01' from generate_series(1, 5000) n;
    insert into chat_store.chats (id, user_id, title, updated_at) values (E'c\u001b[2Jé', 'u', '', '2000-01-01');
    create table public.invoices (chat_id text constraint billed references chat_store.chats (id));
    insert into public.invoices values ('c00001'), ('c03000'), ('c03001'), (E'c\u001b[2Jé')`);
  const refused = ["c00001", "c03000", "c03001", "c\u001b[2Jé"].map((chatId) => ({
    chatId,
    sqlState: "23503",
    constraint: "billed",
  }));
  const result = await purge(url, "--older-than", "365d");
  expect(result).toMatchObject({ exitCode: 1, chats: 4_997, inUse: 0, refused: expect.arrayContaining(refused) });
  expect(result.refused).toHaveLength(4);

  const lines: string[] = [];
  const output = { print: (text: string) => void lines.push(text), printError: expect.fail };
  expect(await runCommandLine(["purge", "--older-than", "365d"], { databaseUrl: url, cwd, ...output })).toBe(1);
  const [, summary, heading, ...chats] = lines.join("\n").split("\n");
  expect(summary).toMatch(/^Deleted 0 chats without activity/);
  expect(heading).toBe("Could not delete 4 chats, because the database refused:");
  expect(chats.sort()).toEqual([
    '  "c00001": SQLSTATE 23503, constraint "billed"',
    '  "c03000": SQLSTATE 23503, constraint "billed"',
    '  "c03001": SQLSTATE 23503, constraint "billed"',
    String.raw`  "c\u001b[2J\u00e9": SQLSTATE 23503, constraint "billed"`,
  ]);
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

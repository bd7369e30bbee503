// Projects: main, node.
import pg from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import { migrationScript } from "../../src/migrate/migration-script.ts";
import { migrations } from "../../src/migrate/migrations.ts";
import { openEmptyDatabase, runCommand } from "../support/command-line.ts";

describe("sql", () => {
  test.each(["chat_store", `it's a "schema"`])("sql prints the statements of migrate for schema %s", async (schema) => {
    const { url: databaseUrl, query } = await openEmptyDatabase();
    const { exitCode, stdout, stderr } = await runCommand(["sql", "--schema", schema]);
    expect([exitCode, stderr]).toEqual([0, ""]);
    await query(stdout);
    const there = (command: string) => runCommand([command, "--schema", schema], { databaseUrl });
    expect(await there("status")).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("up to date") });
    expect(await there("doctor")).toMatchObject({ exitCode: 0 });
    expect(await there("migrate")).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("already") });
    // A second time it changes nothing, and the transaction it opened is over.
    await expect(query(stdout)).rejects.toThrow("already exists");
    await query("rollback");
    expect(await there("doctor")).toMatchObject({ exitCode: 0 });
  });

  test("the printed statements also run where the schema exists already", async () => {
    const { url: databaseUrl, query } = await openEmptyDatabase();
    await query("create schema chat_store");
    await query((await runCommand(["sql"])).stdout);
    expect(await runCommand(["doctor"], { databaseUrl })).toMatchObject({ exitCode: 0 });
  });

  test("the printed statements wait for a migrate that is under way", async () => {
    const { url: databaseUrl, query } = await openEmptyDatabase();
    const other = new pg.Client(databaseUrl);
    await other.connect();
    onTestFinished(() => other.end());
    const script = (await runCommand(["sql"])).stdout;
    await query("begin; select pg_advisory_xact_lock(hashtextextended('drizzle-chat-store chat_store', 0))");
    let isDone = false;
    const running = other.query(script).finally(() => {
      isDone = true;
    });
    // Not those of other tests' databases.
    const waiting = `select count(*)::int from pg_locks where locktype = 'advisory' and not granted
      and database = (select oid from pg_database where datname = current_database())`;
    await expect.poll(() => query(waiting)).toEqual([{ count: 1 }]);
    expect(isDone).toBe(false);
    await query("commit");
    await running;
    expect(await runCommand(["doctor"], { databaseUrl })).toMatchObject({ exitCode: 0 });
  });

  test.each([1, 2, 3, 4])("sql --from %i prints only the later migrations", async (version) => {
    const { url: databaseUrl, query } = await openEmptyDatabase();
    const { stdout, exitCode } = await runCommand(["sql", "--from", `${version}`]);
    expect(exitCode).toBe(0);
    expect(stdout.match(/^-- \d{4}_\w+$/gm)).toEqual(migrations.slice(version).map(({ name }) => `-- ${name}`));
    await query(migrationScript("chat_store", 0, migrations.slice(0, version)));
    expect(await runCommand(["doctor"], { databaseUrl })).toMatchObject({ exitCode: 1 });
    await query(stdout);
    expect(await runCommand(["doctor"], { databaseUrl })).toMatchObject({ exitCode: 0 });
    expect(await runCommand(["status"], { databaseUrl })).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining("up to date, at version 5"),
    });
  });

  test("sql prints no statements from the newest version on, and one document with --json", async () => {
    const { stdout, exitCode } = await runCommand(["sql", "--from", "5"]);
    expect([stdout, exitCode]).toEqual(["-- Nothing to do: version 5 is the newest.", 0]);
    const { stdout: json } = await runCommand(["sql", "--json"]);
    expect(JSON.parse(json)).toEqual({ schema: "chat_store", from: 0, to: 5, sql: (await runCommand(["sql"])).stdout });
  });
});

test("sql --rls prints a policy for every table but the ledger, and may be run again", async () => {
  const { url: databaseUrl, query } = await openEmptyDatabase();
  await runCommand(["migrate"], { databaseUrl });
  const { stdout } = await runCommand(["sql", "--rls"]);
  for (let run = 0; run < 2; run++) await query(stdout);
  expect(
    await query(
      "select tablename as table, policyname as policy from pg_policies where schemaname = 'chat_store' order by 1",
    ),
  ).toEqual(
    ["branches", "chats", "messages", "turn_chunks", "turns"].map((table) => ({ table, policy: `${table}_owner` })),
  );
  expect(await query("select relname from pg_class where relrowsecurity order by 1")).toHaveLength(5);
  expect(await runCommand(["doctor"], { databaseUrl })).toMatchObject({ exitCode: 0 });
});

test("sql --citus prints statements that distribute every table by chat, and none twice", async () => {
  const { exitCode, stdout } = await runCommand(["sql", "--citus", "--schema", "it's ours"]);
  expect(exitCode).toBe(0);
  const statements = stdout.split("\n").filter((line) => /^(begin|select|commit)/.test(line));
  const nameOf = (table: string) => `'"it''s ours"."${table}"'`;
  const beside = `colocate_with => ${nameOf("chats")}`;
  expect(statements).toEqual([
    "begin;",
    "select create_distributed_table(found, 'id')",
    ...["messages", "turns", "turn_chunks", "branches"].map(
      () => `select create_distributed_table(found, 'chat_id', ${beside})`,
    ),
    "commit;",
  ]);
  const tables = ["chats", "messages", "turns", "turn_chunks", "branches"];
  expect(stdout.match(/to_regclass\(.*?\)/g)).toEqual(tables.map((table) => `to_regclass(${nameOf(table)})`));
  expect(stdout.match(/not exists \(select from pg_catalog.pg_dist_partition/g)).toHaveLength(5);
});

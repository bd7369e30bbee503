// Projects: main, node.
import { describe, expect, test } from "vitest";
import { folderWith } from "../support/application-folder.ts";
import { openEmptyDatabase, runCommand } from "../support/command-line.ts";

describe.each(["pg", "postgres"])("the command line with the driver %s", (driver) => {
  test("status, migrate and doctor report a database that is pending, migrated, current and damaged", async () => {
    const { url: databaseUrl, query } = await openEmptyDatabase();
    const cwd = await folderWith(driver);
    const here = (...args: string[]) => runCommand(args, { databaseUrl, cwd });

    expect(await here("status")).toEqual({
      exitCode: 1,
      stdout: `\
<database>
Nothing has been migrated in schema "chat_store" yet: 5 migrations are pending. Run migrate.
  state    version  name
  pending        1  0000_chats
  pending        2  0001_lifecycle
  pending        3  0002_pages
  pending        4  0003_turns
  pending        5  0004_branches`,
      stderr: "",
    });
    expect(await here("migrate")).toEqual({
      exitCode: 0,
      stdout: `\
<database>
Applying 0000_chats
Applying 0001_lifecycle
Applying 0002_pages
Applying 0003_turns
Applying 0004_branches
Schema "chat_store" is now at version 5, the newest.`,
      stderr: "",
    });
    expect(await here("status")).toEqual({
      exitCode: 0,
      stdout: `\
<database>
Schema "chat_store" is up to date, at version 5.
  state    version  name            applied at (UTC)
  applied        1  0000_chats      <minute>
  applied        2  0001_lifecycle  <minute>
  applied        3  0002_pages      <minute>
  applied        4  0003_turns      <minute>
  applied        5  0004_branches   <minute>`,
      stderr: "",
    });
    expect(await here("migrate")).toEqual({
      exitCode: 0,
      stdout: '<database>\nSchema "chat_store" is already at version 5, the newest.',
      stderr: "",
    });
    expect(await here("doctor")).toEqual({
      exitCode: 0,
      stdout: '<database>\nSchema "chat_store" is as this version of drizzle-chat-store expects it.',
      stderr: "",
    });
    await query("drop index chat_store.chats_user_idx");
    expect(await here("doctor")).toEqual({
      exitCode: 1,
      stdout: `\
<database>
Schema "chat_store" has 1 difference from what this version of drizzle-chat-store expects.

missing     index chats.chats_user_idx
  expected  btree (user_id, updated_at, id)
  run       CREATE INDEX "chats_user_idx" ON "chat_store"."chats" USING btree ("user_id","updated_at","id");`,
      stderr: "",
    });
    const connections = "select count(*)::int from pg_stat_activity where datname = current_database()";
    await expect.poll(() => query(connections)).toEqual([{ count: 1 }]);
  });

  test("status, migrate and doctor each print one JSON document with --json", async () => {
    const { url, query } = await openEmptyDatabase();
    const cwd = await folderWith(driver);
    const here = async (...args: string[]) => {
      const { exitCode, stdout, stderr } = await runCommand(
        [...args, "--json", "--url", url, "--schema", "assistant"],
        {
          cwd,
        },
      );
      expect(stderr).toBe("");
      const { database, ...document } = JSON.parse(stdout);
      const { hostname: host, port, pathname } = new URL(url);
      if (exitCode < 3) expect(database).toEqual({ name: pathname.slice(1), host, port: Number(port) });
      return { exitCode, ...document };
    };
    const schema = "assistant";
    const all = [
      { version: 1, name: "0000_chats" },
      { version: 2, name: "0001_lifecycle" },
      { version: 3, name: "0002_pages" },
      { version: 4, name: "0003_turns" },
      { version: 5, name: "0004_branches" },
    ];
    const applied = all.map((migration) => ({ ...migration, breaking: false, appliedAt: "<time>" }));
    const pending = all.map((migration) => ({ ...migration, breaking: false }));

    const none = { applied: [], pending: [], newer: [] };
    expect(await here("status")).toEqual({ exitCode: 1, schema, state: "pending", ...none, pending });
    expect(await here("migrate")).toEqual({ exitCode: 0, schema, version: 5, applied: all });
    expect(await here("migrate")).toEqual({ exitCode: 0, schema, version: 5, applied: [] });
    expect(await here("status")).toEqual({ exitCode: 0, schema, state: "current", ...none, applied });
    const healthy = { schema, healthy: true, differences: [], additions: [], ledger: true };
    expect(await here("doctor")).toEqual({ exitCode: 0, ...healthy });

    await query(`insert into assistant.migrations values (6, '0005_added', false);
      alter table assistant.chats add note text`);
    const added = { version: 6, name: "0005_added", breaking: false, appliedAt: "<time>" };
    expect(await here("status")).toEqual({ exitCode: 0, schema, state: "newer", ...none, applied, newer: [added] });
    const additions = [
      { object: "migration 6", found: "0005_added" },
      { object: "column chats.note", found: "text" },
    ];
    expect(await here("doctor")).toEqual({ exitCode: 0, ...healthy, additions });
    expect(await here("migrate")).toEqual({ exitCode: 0, schema, version: 6, applied: [] });

    await query(`insert into assistant.migrations values (7, '0006_from_the_future', true);
      alter table assistant.chats alter title drop not null`);
    const newer = [added, { version: 7, name: "0006_from_the_future", breaking: true, appliedAt: "<time>" }];
    expect(await here("status")).toEqual({ exitCode: 1, schema, state: "newer", ...none, applied, newer });
    expect(await here("doctor")).toEqual({
      exitCode: 1,
      ...healthy,
      healthy: false,
      differences: [
        {
          kind: "unexpected",
          object: "migration 7",
          found: "0006_from_the_future",
          advice: "It is breaking, and newer than this version of the package: update the package.",
        },
        { kind: "changed", object: "column chats.title", expected: "text not null", found: "text" },
      ],
      additions,
    });
    expect(await here("migrate")).toEqual({
      exitCode: 3,
      error: {
        code: "MIGRATION_FAILED",
        message: expect.stringMatching(
          /^A newer version .* breaking migrations 0006_from_the_future in .* Nothing was changed\.$/,
        ),
      },
    });
  });
});

describe("migrate", () => {
  test("one of two migrate commands at once applies the migrations, and the other finds them applied", async () => {
    const { url: databaseUrl } = await openEmptyDatabase();
    const answers = await Promise.all([
      runCommand(["migrate"], { databaseUrl }),
      runCommand(["migrate"], { databaseUrl }),
    ]);
    expect(answers.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
    expect(answers.map(({ stdout }) => stdout).sort()).toEqual([
      '<database>\nApplying 0000_chats\nApplying 0001_lifecycle\nApplying 0002_pages\nApplying 0003_turns\nApplying 0004_branches\nSchema "chat_store" is now at version 5, the newest.',
      '<database>\nSchema "chat_store" is already at version 5, the newest.',
    ]);
  });

  test("migrate prints the error of Postgres when the database refuses a migration", async () => {
    const { url: databaseUrl, query } = await openEmptyDatabase();
    await query("create schema chat_store; create table chat_store.messages (of_somebody_else text)");
    expect(await runCommand(["migrate"], { databaseUrl })).toEqual({
      exitCode: 3,
      stdout: "<database>\nApplying 0000_chats",
      stderr:
        'Migration 0000_chats failed in Postgres schema "chat_store" with SQLSTATE 42P07. The driver\'s error is the cause of this one. ' +
        "A table of that name exists already: if your own migrations create the tables, do not call migrate. Nothing was changed.\n" +
        'Postgres says: relation "messages" already exists (42P07)',
    });
  });
});

describe("status", () => {
  test("status says whether this package works on tables that a newer one has migrated", async () => {
    const { url: databaseUrl, query } = await openEmptyDatabase();
    await runCommand(["migrate"], { databaseUrl });
    await query("insert into chat_store.migrations values (6, '0005_added', false)");
    expect(await runCommand(["status"], { databaseUrl })).toEqual({
      exitCode: 0,
      stdout: `\
<database>
Schema "chat_store" is at version 6. This drizzle-chat-store knows the migrations up to version 5, and works with the newer ones.
  state    version  name            applied at (UTC)
  applied        1  0000_chats      <minute>
  applied        2  0001_lifecycle  <minute>
  applied        3  0002_pages      <minute>
  applied        4  0003_turns      <minute>
  applied        5  0004_branches   <minute>
  newer          6  0005_added      <minute>`,
      stderr: "",
    });
    expect(await runCommand(["migrate"], { databaseUrl })).toEqual({
      exitCode: 0,
      stdout:
        '<database>\nSchema "chat_store" is already at version 6. This drizzle-chat-store knows the migrations up to version 5, and works with the newer ones.',
      stderr: "",
    });
    await query("insert into chat_store.migrations values (7, '0006_dropped', true)");
    expect(await runCommand(["status"], { databaseUrl })).toEqual({
      exitCode: 1,
      stdout: `\
<database>
Schema "chat_store" is at version 7. This drizzle-chat-store knows the migrations up to version 5, and does not work with the newer ones: update the package.
  state    version  name            applied at (UTC)
  applied        1  0000_chats      <minute>
  applied        2  0001_lifecycle  <minute>
  applied        3  0002_pages      <minute>
  applied        4  0003_turns      <minute>
  applied        5  0004_branches   <minute>
  newer          6  0005_added      <minute>
  newer          7  0006_dropped    <minute>  breaking`,
      stderr: "",
    });
  });

  test("status accepts tables without a ledger, which the application's own migrations have made", async () => {
    const { url: databaseUrl, query } = await openEmptyDatabase();
    await runCommand(["migrate"], { databaseUrl });
    await query("drop table chat_store.migrations");
    expect(await runCommand(["status"], { databaseUrl })).toEqual({
      exitCode: 0,
      stdout:
        '<database>\nSchema "chat_store" has the tables but no ledger, so migrate did not create them. ' +
        "If your own migrations create them, all is well: doctor compares the tables.",
      stderr: "",
    });
  });
});

// Projects: main, node.
import { mkdir, mkdtemp, rm, stat, symlink } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import { runCommandLine } from "../../src/cli/command-line.ts";
import { migrationScript } from "../../src/migrate/migration-script.ts";
import { migrations } from "../../src/migrate/migrations.ts";
import { createDatabase } from "../support/databases.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Runs a command as a terminal would, and gives what it leaves there. */
async function run(args: string[], { databaseUrl, cwd = root }: { databaseUrl?: string; cwd?: string } = {}) {
  const printed: string[] = [];
  const errors: string[] = [];
  const exitCode = await runCommandLine(args, {
    databaseUrl,
    cwd,
    print: (text) => printed.push(text),
    printError: (text) => errors.push(text),
  });
  const withoutTimes = (lines: string[]) => lines.join("\n").replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "<time>");
  return { exitCode, stdout: withoutTimes(printed), stderr: withoutTimes(errors) };
}

const openDatabase = async () => {
  const { url, drop } = await createDatabase({ empty: true });
  const client = new pg.Client(url);
  await client.connect();
  onTestFinished(async () => {
    await client.end();
    await drop();
  });
  return { url, query: async (text: string) => (await client.query(text)).rows };
};

/** The folder of an application that has installed one driver, beside drizzle-orm. */
const folderWith = async (driver: string) => {
  const folder = await mkdtemp(join(tmpdir(), "drizzle-chat-store-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await mkdir(join(folder, "node_modules"));
  for (const name of [driver, "drizzle-orm"]) {
    await symlink(join(root, "node_modules", name), join(folder, "node_modules", name));
  }
  return folder;
};

describe.each(["pg", "postgres"])("the command line with the driver %s", (driver) => {
  test("status, migrate and doctor report a database that is pending, migrated, current and damaged", async () => {
    const { url: databaseUrl, query } = await openDatabase();
    const cwd = await folderWith(driver);
    const here = (...args: string[]) => run(args, { databaseUrl, cwd });

    expect(await here("status")).toEqual({
      exitCode: 1,
      stdout:
        'Schema "chat_store" is at version 0, and version 4 is pending: run migrate.\n  pending    1  0000_chats\n  pending    2  0001_lifecycle\n  pending    3  0002_pages\n  pending    4  0003_turns',
      stderr: "",
    });
    expect(await here("migrate")).toEqual({
      exitCode: 0,
      stdout:
        'Applying 0000_chats\nApplying 0001_lifecycle\nApplying 0002_pages\nApplying 0003_turns\nSchema "chat_store" is now at version 4, the newest.',
      stderr: "",
    });
    expect(await here("status")).toEqual({
      exitCode: 0,
      stdout:
        'Schema "chat_store" is up to date, at version 4.\n  applied    1  0000_chats  <time>\n  applied    2  0001_lifecycle  <time>\n  applied    3  0002_pages  <time>\n  applied    4  0003_turns  <time>',
      stderr: "",
    });
    expect(await here("migrate")).toEqual({
      exitCode: 0,
      stdout: 'Schema "chat_store" is already at version 4, the newest.',
      stderr: "",
    });
    expect(await here("doctor")).toEqual({
      exitCode: 0,
      stdout: 'Schema "chat_store" is as this version of drizzle-chat-store expects it.',
      stderr: "",
    });
    await query("drop index chat_store.chats_user_idx");
    expect(await here("doctor")).toEqual({
      exitCode: 1,
      stdout: `\
Schema "chat_store" has 1 difference from what this version of drizzle-chat-store expects.

missing     index chats.chats_user_idx
  expected  btree (user_id, updated_at, id)`,
      stderr: "",
    });
    const connections = "select count(*)::int from pg_stat_activity where datname = current_database()";
    await expect.poll(() => query(connections)).toEqual([{ count: 1 }]);
  });

  test("status, migrate and doctor each print one JSON document with --json", async () => {
    const { url, query } = await openDatabase();
    const cwd = await folderWith(driver);
    const here = async (...args: string[]) => {
      const { exitCode, stdout, stderr } = await run([...args, "--json", "--url", url, "--schema", "assistant"], {
        cwd,
      });
      expect(stderr).toBe("");
      return { exitCode, ...JSON.parse(stdout) };
    };
    const schema = "assistant";
    const all = [
      { version: 1, name: "0000_chats" },
      { version: 2, name: "0001_lifecycle" },
      { version: 3, name: "0002_pages" },
      { version: 4, name: "0003_turns" },
    ];
    const applied = all.map((migration) => ({ ...migration, breaking: false, appliedAt: "<time>" }));
    const pending = all.map((migration) => ({ ...migration, breaking: false }));

    const none = { applied: [], pending: [], newer: [] };
    expect(await here("status")).toEqual({ exitCode: 1, schema, state: "pending", ...none, pending });
    expect(await here("migrate")).toEqual({ exitCode: 0, schema, version: 4, applied: all });
    expect(await here("migrate")).toEqual({ exitCode: 0, schema, version: 4, applied: [] });
    expect(await here("status")).toEqual({ exitCode: 0, schema, state: "current", ...none, applied });
    const healthy = { schema, healthy: true, differences: [], additions: [], ledger: true };
    expect(await here("doctor")).toEqual({ exitCode: 0, ...healthy });

    await query(`insert into assistant.migrations values (5, '0004_added', false);
      alter table assistant.chats add note text`);
    const added = { version: 5, name: "0004_added", breaking: false, appliedAt: "<time>" };
    expect(await here("status")).toEqual({ exitCode: 0, schema, state: "newer", ...none, applied, newer: [added] });
    const additions = [
      { object: "migration 5", found: "0004_added" },
      { object: "column chats.note", found: "text" },
    ];
    expect(await here("doctor")).toEqual({ exitCode: 0, ...healthy, additions });
    expect(await here("migrate")).toEqual({ exitCode: 0, schema, version: 5, applied: [] });

    await query(`insert into assistant.migrations values (6, '0005_from_the_future', true);
      alter table assistant.chats alter title drop not null`);
    const newer = [added, { version: 6, name: "0005_from_the_future", breaking: true, appliedAt: "<time>" }];
    expect(await here("status")).toEqual({ exitCode: 1, schema, state: "newer", ...none, applied, newer });
    expect(await here("doctor")).toEqual({
      exitCode: 1,
      ...healthy,
      healthy: false,
      differences: [
        {
          kind: "unexpected",
          object: "migration 6",
          found: "0005_from_the_future",
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
          /^A newer version .* breaking migrations 0005_from_the_future in .* Nothing was changed\.$/,
        ),
      },
    });
  });

  test("the command line connects by a Unix socket, however the URL names its folder", async ({ skip }) => {
    const { url, query } = await openDatabase();
    const cwd = await folderWith(driver);
    const { port, username, password, pathname } = new URL(url);
    const [{ unix_socket_directories: directories }] = await query("show unix_socket_directories");
    const socket = directories.split(",")[0].trim();
    const isHere = await stat(join(socket, `.s.PGSQL.${port}`)).then(
      (found) => found.isSocket(),
      () => false,
    );
    if (!isHere) skip();
    const user = `${username}:${password}`;
    const parameters = `host=${socket}&port=${port}`;
    for (const databaseUrl of [
      `postgres://${user}@${pathname}?${parameters}`,
      `postgresql://${pathname}?${parameters}&user=${username}&password=${password}`,
      `postgres://${user}@${encodeURIComponent(socket)}:${port}${pathname}`,
      `socket:${socket}?db=${pathname.slice(1)}&port=${port}&user=${username}&password=${password}`,
    ]) {
      expect(await run(["status"], { databaseUrl, cwd })).toMatchObject({ exitCode: 1, stderr: "" });
    }
    const missing = `postgres://${user}@/d?host=/no/such/folder`;
    const { exitCode, stderr } = await run(["status"], { databaseUrl: missing, cwd });
    expect([exitCode, stderr]).toEqual([
      3,
      "Could not connect to the database: there is no socket at the host of the URL (ENOENT).",
    ]);
  });

  test("the command line takes a URL with blanks around it, in capitals, and with a percent-encoded password", async () => {
    const { url, query } = await openDatabase();
    const cwd = await folderWith(driver);
    const role = `special_${driver}`;
    const password = "# / ? @ % : , & = + ü";
    const [, rest] = url.split("@");
    await query(`create role ${role} superuser login password '${password}'`);
    try {
      const given = `  POSTGRES://${role}:${encodeURIComponent(password)}@${rest}?application_name=a@b\n`;
      expect(await run(["migrate"], { databaseUrl: given, cwd })).toMatchObject({ exitCode: 0, stderr: "" });
      expect(await query("select tableowner from pg_tables where tablename = 'chats'")).toEqual([{ tableowner: role }]);
    } finally {
      await query(`drop owned by ${role} cascade`);
      await query(`drop role ${role}`);
    }
  });

  test("the command line gives the reason for a failed connection, and repeats nothing of the URL", async () => {
    const { url, query } = await openDatabase();
    const cwd = await folderWith(driver);
    const failing = async (edit: (url: URL) => void) => {
      const wrong = new URL(url);
      edit(wrong);
      const { exitCode, stdout, stderr } = await run(["status"], { databaseUrl: wrong.href, cwd });
      expect([exitCode, stdout]).toEqual([3, ""]);
      for (const part of [wrong.href, wrong.host, wrong.pathname.slice(1), "ada", "secret"]) {
        expect(stderr).not.toContain(part);
      }
      return stderr;
    };
    const asAda = { username: "ada", password: "secret" };
    expect(await failing((url) => Object.assign(url, { ...asAda, port: "1" }))).toBe(
      "Could not connect to the database: nothing listens at the host and port of the URL (ECONNREFUSED).",
    );
    expect(await failing((url) => Object.assign(url, { ...asAda, hostname: "nowhere.invalid" }))).toMatch(
      /^Could not connect to the database: the URL's host .* \((ENOTFOUND|EAI_AGAIN)\)\.$/,
    );
    expect(await failing((url) => Object.assign(url, { pathname: "/absent" }))).toBe(
      "Could not connect to the database: there is no such database on the server (3D000).",
    );
    expect(await failing((url) => Object.assign(url, asAda))).toMatch(
      /^Could not connect to the database: the (user or the password is wrong \(28P01\)|server does not let this user in from here \(28000\))\.$/,
    );

    // A reason for which we have no words. Postgres's own name the database.
    const { pathname } = new URL((await openDatabase()).url);
    await query(`alter database ${pathname.slice(1)} allow_connections false`);
    expect(await failing((url) => Object.assign(url, { pathname }))).toBe(
      "Could not connect to the database: error 55000.",
    );

    // Not a Postgres server: it hangs up.
    const sockets = new Set<Socket>();
    const server = createServer(
      (socket) => sockets.add(socket.on("error", () => {})) && socket.end("HTTP/1.1 400\r\n\r\n"),
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const address = server.address();
    const port = typeof address === "object" && address ? String(address.port) : "";
    expect(
      await failing((url) =>
        Object.assign(url, { ...asAda, hostname: "127.0.0.1", port, search: "connect_timeout=1" }),
      ),
    ).toMatch(/^Could not connect to the database: (Connection terminated unexpectedly|timeout expired)\.$/);
  });
});

describe("migrate", () => {
  test("one of two migrate commands at once applies the migrations, and the other finds them applied", async () => {
    const { url: databaseUrl } = await openDatabase();
    const answers = await Promise.all([run(["migrate"], { databaseUrl }), run(["migrate"], { databaseUrl })]);
    expect(answers.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
    expect(answers.map(({ stdout }) => stdout).sort()).toEqual([
      'Applying 0000_chats\nApplying 0001_lifecycle\nApplying 0002_pages\nApplying 0003_turns\nSchema "chat_store" is now at version 4, the newest.',
      'Schema "chat_store" is already at version 4, the newest.',
    ]);
  });

  test("migrate prints the error of Postgres when the database refuses a migration", async () => {
    const { url: databaseUrl, query } = await openDatabase();
    await query("create schema chat_store; create table chat_store.messages (of_somebody_else text)");
    expect(await run(["migrate"], { databaseUrl })).toEqual({
      exitCode: 3,
      stdout: "Applying 0000_chats",
      stderr:
        'Migration 0000_chats failed in Postgres schema "chat_store" with SQLSTATE 42P07. The driver\'s error is the cause of this one. ' +
        "A table of that name exists already: if your own migrations create the tables, do not call migrate. Nothing was changed.\n" +
        'Postgres says: relation "messages" already exists (42P07)',
    });
  });
});

describe("sql", () => {
  test.each(["chat_store", `it's a "schema"`])("sql prints the statements of migrate for schema %s", async (schema) => {
    const { url: databaseUrl, query } = await openDatabase();
    const { exitCode, stdout, stderr } = await run(["sql", "--schema", schema]);
    expect([exitCode, stderr]).toEqual([0, ""]);
    await query(stdout);
    const there = (command: string) => run([command, "--schema", schema], { databaseUrl });
    expect(await there("status")).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("up to date") });
    expect(await there("doctor")).toMatchObject({ exitCode: 0 });
    expect(await there("migrate")).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("already") });
    // A second time it changes nothing, and the transaction it opened is over.
    await expect(query(stdout)).rejects.toThrow("already exists");
    await query("rollback");
    expect(await there("doctor")).toMatchObject({ exitCode: 0 });
  });

  test("the printed statements also run where the schema exists already", async () => {
    const { url: databaseUrl, query } = await openDatabase();
    await query("create schema chat_store");
    await query((await run(["sql"])).stdout);
    expect(await run(["doctor"], { databaseUrl })).toMatchObject({ exitCode: 0 });
  });

  test("the printed statements wait for a migrate that is under way", async () => {
    const { url: databaseUrl, query } = await openDatabase();
    const other = new pg.Client(databaseUrl);
    await other.connect();
    onTestFinished(() => other.end());
    const script = (await run(["sql"])).stdout;
    await query("begin; select pg_advisory_xact_lock(hashtextextended('drizzle-chat-store chat_store', 0))");
    let isDone = false;
    const running = other.query(script).finally(() => {
      isDone = true;
    });
    const waiting = "select count(*)::int from pg_locks where locktype = 'advisory' and not granted";
    await expect.poll(() => query(waiting)).toEqual([{ count: 1 }]);
    expect(isDone).toBe(false);
    await query("commit");
    await running;
    expect(await run(["doctor"], { databaseUrl })).toMatchObject({ exitCode: 0 });
  });

  test("sql --from 1 prints only the later migrations", async () => {
    const { url: databaseUrl, query } = await openDatabase();
    const { stdout, exitCode } = await run(["sql", "--from", "1"]);
    expect(exitCode).toBe(0);
    await query(migrationScript("chat_store", 0, migrations.slice(0, 1)));
    expect(await run(["doctor"], { databaseUrl })).toMatchObject({ exitCode: 1 });
    await query(stdout);
    expect(await run(["doctor"], { databaseUrl })).toMatchObject({ exitCode: 0 });
    expect(await run(["status"], { databaseUrl })).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining("up to date, at version 4"),
    });
  });

  test("sql prints no statements from the newest version on, and one document with --json", async () => {
    const { stdout, exitCode } = await run(["sql", "--from", "4"]);
    expect([stdout, exitCode]).toEqual(["-- Nothing to do: version 4 is the newest.", 0]);
    const { stdout: json } = await run(["sql", "--json"]);
    expect(JSON.parse(json)).toEqual({ schema: "chat_store", from: 0, to: 4, sql: (await run(["sql"])).stdout });
  });
});

describe("status", () => {
  test("status says whether this package works on tables that a newer one has migrated", async () => {
    const { url: databaseUrl, query } = await openDatabase();
    await run(["migrate"], { databaseUrl });
    await query("insert into chat_store.migrations values (5, '0004_added', false)");
    expect(await run(["status"], { databaseUrl })).toEqual({
      exitCode: 0,
      stdout: `\
Schema "chat_store" is at version 5. This drizzle-chat-store knows the migrations up to version 4, and works with the newer ones.
  applied    1  0000_chats  <time>
  applied    2  0001_lifecycle  <time>
  applied    3  0002_pages  <time>
  applied    4  0003_turns  <time>
  newer      5  0004_added  <time>`,
      stderr: "",
    });
    expect(await run(["migrate"], { databaseUrl })).toEqual({
      exitCode: 0,
      stdout:
        'Schema "chat_store" is already at version 5. This drizzle-chat-store knows the migrations up to version 4, and works with the newer ones.',
      stderr: "",
    });
    await query("insert into chat_store.migrations values (6, '0005_dropped', true)");
    expect(await run(["status"], { databaseUrl })).toEqual({
      exitCode: 1,
      stdout: `\
Schema "chat_store" is at version 6. This drizzle-chat-store knows the migrations up to version 4, and does not work with the newer ones: update the package.
  applied    1  0000_chats  <time>
  applied    2  0001_lifecycle  <time>
  applied    3  0002_pages  <time>
  applied    4  0003_turns  <time>
  newer      5  0004_added  <time>
  newer      6  0005_dropped  <time>  breaking`,
      stderr: "",
    });
  });

  test("status accepts tables without a ledger, which the application's own migrations have made", async () => {
    const { url: databaseUrl, query } = await openDatabase();
    await run(["migrate"], { databaseUrl });
    await query("drop table chat_store.migrations");
    expect(await run(["status"], { databaseUrl })).toEqual({
      exitCode: 0,
      stdout:
        'Schema "chat_store" has the tables but no ledger, so migrate did not create them. ' +
        "If your own migrations create them, all is well: doctor compares the tables.",
      stderr: "",
    });
  });
});
test("sql --citus prints statements that distribute every table by chat, and none twice", async () => {
  const { exitCode, stdout } = await run(["sql", "--citus", "--schema", "it's ours"]);
  expect(exitCode).toBe(0);
  const statements = stdout.split("\n").filter((line) => /^(begin|select|commit)/.test(line));
  const nameOf = (table: string) => `'"it''s ours"."${table}"'`;
  const beside = `colocate_with => ${nameOf("chats")}`;
  expect(statements).toEqual([
    "begin;",
    "select create_distributed_table(found, 'id')",
    ...["messages", "turns", "turn_chunks"].map(() => `select create_distributed_table(found, 'chat_id', ${beside})`),
    "commit;",
  ]);
  const tables = ["chats", "messages", "turns", "turn_chunks"];
  expect(stdout.match(/to_regclass\(.*?\)/g)).toEqual(tables.map((table) => `to_regclass(${nameOf(table)})`));
  expect(stdout.match(/not exists \(select from pg_catalog.pg_dist_partition/g)).toHaveLength(4);
});

describe("a mistake on the command line", () => {
  const mistakes: [string[], string][] = [
    [[], "Expected a command: migrate, status, sql, doctor, purge."],
    [["toString"], "There is no command toString. Expected one of: migrate, status, sql, doctor, purge."],
    [["status", "doctor"], "Expected one command, found 2."],
    [["status", "--nope"], "Unknown option '--nope'."],
    [["status", "--url"], "Option '--url <value>' argument missing"],
    [["status", "--from", "1"], "--from is for the command sql."],
    [["sql", "--from", "one"], "--from is not a version. Expected a whole number, as status shows it."],
    [["sql", "--from", "99"], "There is no version 99: the newest is 4."],
    [
      ["status", "--schema", ""],
      "--schema: expected 1 to 63 characters (the name of a Postgres schema), found an empty string.",
    ],
    [
      ["sql", "--schema", "public"],
      "--schema: expected a schema for these tables only, found one of the application or of Postgres.",
    ],
    [["doctor", "--rls"], "--rls is for the command sql."],
    [["migrate", "--citus"], "--citus is for the command sql."],
    [["sql", "--older-than", "1d"], "--older-than is for the command purge."],
    [["migrate", "--dry-run"], "--dry-run is for the command purge."],
    ...[[], ["365"], ["0d"], ["-1d"], ["1.5d"], ["365d "], ["1y"], ["123456d"]].map(([days]): [string[], string] => [
      ["purge", ...(days === undefined ? [] : [`--older-than=${days}`])],
      "purge needs --older-than. Expected a number of days, at least 1d, such as 365d.",
    ]),
    [["sql", "--rls", "--from", "1"], "--from and --rls exclude each other."],
    [["sql", "--citus", "--rls"], "--rls and --citus exclude each other."],
    [["status"], "No database is given. Set DATABASE_URL, or pass --url."],
    [
      ["status", "--url", "mysql://u:secret@h/d"],
      "The database's URL does not begin with postgres:// or postgresql://.",
    ],
    ...["postgres://u:secret@h/d", "postgres://u:se cret@h/d", "u:secret@h/d", "se.cret"].map(
      (url): [string[], string] => [
        [url],
        "There is no such command. Expected one of: migrate, status, sql, doctor, purge.",
      ],
    ),
    ...["postgres://u:secret@h/d", "u:se. cret@h/d", "u:se'cret@h/d"].map((url): [string[], string] => [
      ["status", `--${url}`],
      "Unknown option.",
    ]),
    ...["se#cret", "1#secret", "se/cret", "1/secret", "1?secret", "se?c=ret", "se@cr/et", "se%cret", "%E4"].map(
      (password): [string[], string] => [
        ["status", "--url", `postgres://u:${password}@h/d`],
        "The database's URL cannot be read. Special characters in its user and password must be percent-encoded, as " +
          "encodeURIComponent does: # is %23, / is %2F, @ is %40, % is %25.",
      ],
    ),
    ...["h,i", "h:1,i:2"].map((hosts): [string[], string] => [
      ["status", "--url", `postgres://u:secret@${hosts}/d`],
      "The database's URL names several hosts. Expected one, that of the primary.",
    ]),
  ];
  test.each(mistakes)("the command line answers %j with a sentence and a pointer to --help", async (args, sentence) => {
    const help = "For help: npx drizzle-chat-store --help";
    expect(await run(args)).toEqual({ exitCode: 2, stdout: "", stderr: `${sentence}\n${help}` });
    const { exitCode, stdout, stderr } = await run(["--json", ...args]);
    expect([exitCode, stderr, JSON.parse(stdout)]).toEqual([
      2,
      "",
      { error: { code: "USAGE", message: `${sentence}\n${help}` } },
    ]);
  });
});

test("--help wins over other arguments, and its text fits a terminal", async () => {
  const { exitCode, stdout, stderr } = await run(["status", "--help"]);
  expect([exitCode, stderr]).toEqual([0, ""]);
  for (const word of [
    "migrate",
    "status",
    "sql",
    "doctor",
    "purge",
    "--url",
    "--schema",
    "--from",
    "--older-than",
    "--json",
    "PGlite",
  ]) {
    expect(stdout).toContain(word);
  }
  expect(await run(["-h"])).toEqual({ exitCode, stdout, stderr });
  expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
});

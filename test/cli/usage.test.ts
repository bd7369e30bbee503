// Projects: main, node.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { runCommand } from "../support/command-line.ts";

describe("a mistake on the command line", () => {
  const mistakes: [string[], string][] = [
    [[], "Expected a command: migrate, status, sql, doctor, purge."],
    [["toString"], "There is no command toString. Expected one of: migrate, status, sql, doctor, purge."],
    [["stauts"], "There is no command stauts. Did you mean status?"],
    [["migrat"], "There is no command migrat. Did you mean migrate?"],
    [["hlep"], "There is no command hlep. Did you mean help?"],
    [["help", "pruge"], "There is no command pruge. Did you mean purge?"],
    [["s\u001btatus"], "There is no such command. Did you mean status?"],
    [["migrate", "--yes"], "--yes is for the command purge."],
    [["status", "doctor"], "Expected one command, found 2."],
    [["status", "--nope"], "Unknown option '--nope'."],
    [["status", "--url"], "Option '--url <value>' argument missing"],
    [["status", "--from", "1"], "--from is for the command sql."],
    [["sql", "--from", "one"], "--from is not a version. Expected a whole number, as status shows it."],
    [["sql", "--from", "99"], "There is no version 99: the newest is 5."],
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
    expect(await runCommand(args)).toEqual({ exitCode: 2, stdout: "", stderr: `${sentence}\n${help}` });
    const { exitCode, stdout, stderr } = await runCommand(["--json", ...args]);
    expect([exitCode, stderr, JSON.parse(stdout)]).toEqual([
      2,
      "",
      { error: { code: "USAGE", message: `${sentence}\n${help}` } },
    ]);
  });
});

const commands = ["migrate", "status", "sql", "doctor", "purge"];

test("the general help lists all commands and options in columns that fit a terminal", async () => {
  const { exitCode, stdout, stderr } = await runCommand(["--help"]);
  expect([exitCode, stderr]).toEqual([0, ""]);
  const listed = ["--url", "--schema", "--from", "--rls", "--citus", "--older-than", "--dry-run", "--yes", "--json"];
  for (const word of [...commands, "help", ...listed, "-v, --version", "-h, --help", "PGlite"]) {
    expect(stdout).toContain(word);
  }
  const [, list = ""] = /^Options\n([\s\S]*?)\n\n/m.exec(stdout) ?? [];
  const columns = list.split("\n").map((line) => /^ {2}(?:\S+ )*\S+ {2,}(?=\S)/.exec(line)?.[0].length);
  expect(new Set(columns)).toEqual(new Set([columns[0]]));
  expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
  for (const args of [["-h"], ["help"], ["help", "--json"], ["help", "help"], ["-v", "-h"]]) {
    expect(await runCommand(args)).toEqual({ exitCode, stdout, stderr });
  }
});

test.each(commands)("help %s explains its own options, with an example that the command line accepts", async (name) => {
  const { exitCode, stdout, stderr } = await runCommand(["help", name]);
  expect([exitCode, stderr]).toEqual([0, ""]);
  expect(await runCommand([name, "--help", "--schema", "public"])).toEqual({ exitCode, stdout, stderr });
  expect(await runCommand(["-h", name])).toEqual({ exitCode, stdout, stderr });
  expect(stdout).toContain(`Usage: npx drizzle-chat-store ${name} [options]\n`);
  expect(stdout.includes("--older-than")).toBe(name === "purge");
  expect(stdout.includes("--from")).toBe(name === "sql");
  expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);

  const [, example = ""] = /^Example\n {2}npx drizzle-chat-store (.*)$/m.exec(stdout) ?? [];
  const args = example.replace(/ \|.*/, "").split(" ");
  expect(args[0]).toBe(name);
  // Without a database it gets as far as it can.
  const { exitCode: code, stderr: error } = await runCommand(args.filter((arg) => arg !== "--json"));
  expect([code, error.split("\n")[0]]).toEqual(
    name === "sql" ? [0, ""] : [2, "No database is given. Set DATABASE_URL, or pass --url."],
  );
});

test("--version and -v print the version of the package", async () => {
  const { version } = JSON.parse(readFileSync("package.json", "utf8"));
  for (const option of ["--version", "-v"]) {
    expect(await runCommand(["status", option])).toEqual({ exitCode: 0, stdout: version, stderr: "" });
  }
});

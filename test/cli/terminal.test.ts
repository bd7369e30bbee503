import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { openEmptyDatabase, root, runCommand } from "../support/command-line.ts";
import { hasPseudoTerminal, runOnTerminal } from "../support/pseudo-terminal.ts";

const cli = `"${process.execPath}" "${root}/dist/cli.js"`;
const purge = ["purge", "--older-than", "30d"];

async function openWithOldChats() {
  const { url, query } = await openEmptyDatabase();
  await runCommand(["migrate"], { databaseUrl: url });
  await query(`insert into chat_store.chats (id, user_id, title, updated_at)
    values ('a', 'u', '', '2000-01-01'), ('b', 'v', '', '2000-01-01'), ('young', 'v', '', now())`);
  const chats = async () => (await query("select id from chat_store.chats order by id")).map(({ id }) => id).join(" ");
  return { url, query, chats };
}

describe.skipIf(!hasPseudoTerminal)("on a terminal", () => {
  test.each(["y", "yes", " YES "])("purge shows the count, asks, and deletes after the answer %j", async (answer) => {
    const { url, chats } = await openWithOldChats();
    const { exitCode, shown } = await runOnTerminal(`${cli} ${purge.join(" ")}`, {
      env: { DATABASE_URL: url, NO_COLOR: "1" },
      answer: `${answer}\n`,
    });
    expect(exitCode).toBe(0);
    const { pathname, host } = new URL(url);
    const database = `database "${pathname.slice(1)}" at ${host}`;
    expect(shown.replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d/g, "<minute>").split("\n")).toEqual([
      database.replace("d", "D"),
      "Would delete 2 chats without activity since <minute> UTC.",
      `Delete them from ${database}? [y/N] ${answer}`,
      "Deleted 2 chats without activity since <minute> UTC.",
      "",
    ]);
    expect(await chats()).toBe("young");
  });

  test.each([
    ["no", "n\n"],
    ["an empty line", "\n"],
    ["another word", "yess\n"],
    ["Ctrl+C", "\u0003"],
    ["Ctrl+D", "\u0004"],
    ["the end of the input", null],
  ])("purge deletes nothing after %s, and exits with 4", async (_, answer) => {
    const { url, chats } = await openWithOldChats();
    const env = { DATABASE_URL: url };
    const { exitCode, shown } = await runOnTerminal(`${cli} ${purge.join(" ")}`, { env, answer });
    expect(exitCode).toBe(4);
    expect(shown).toMatch(/\nNothing was deleted\.\n$/);
    expect(await chats()).toBe("a b young");
  });

  test("purge asks nothing with --yes, --dry-run or --json, or if there is nothing to delete", async () => {
    const { url, chats } = await openWithOldChats();
    const run = (...options: string[]) =>
      runOnTerminal(`${cli} ${[...purge, ...options].join(" ")}`, { env: { DATABASE_URL: url } });
    expect(await run("--dry-run")).toMatchObject({ exitCode: 0 });
    expect(await chats()).toBe("a b young");
    expect(await run("--yes")).toMatchObject({ exitCode: 0 });
    expect(await chats()).toBe("young");
    const { exitCode, shown } = await run();
    expect(exitCode).toBe(0);
    expect(shown).not.toContain("y/N");
    const { shown: json } = await run("--json");
    expect(JSON.parse(json)).toMatchObject({ chats: 0 });
  });

  test("status, doctor and migrate colour states, and nothing else is coloured", async () => {
    const { url, query } = await openEmptyDatabase();
    const run = async (command: string, env = {}) =>
      (await runOnTerminal(`${cli} ${command}`, { env: { DATABASE_URL: url, ...env } })).shown;
    const coloured = (shown: string) =>
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are how a terminal is told its colours.
      [...shown.matchAll(/\u001b\[(3\d)m(.*?)\u001b\[39m/g)].map(([, code = "", text = ""]) => [code, text.trim()]);
    const [red, green, yellow] = ["31", "32", "33"];
    expect(coloured(await run("status"))[0]).toEqual([yellow, "5 migrations are pending"]);
    expect(coloured(await run("status"))[1]).toEqual([yellow, "pending"]);
    expect(coloured(await run("doctor"))).toEqual([[red, "Nothing has been migrated"]]);
    expect(coloured(await run("migrate"))).toEqual([
      ...Array(5).fill([yellow, "Applying"]),
      [green, "now at version 5"],
    ]);
    expect(coloured(await run("status"))).toEqual([[green, "up to date"], ...Array(5).fill([green, "applied"])]);
    expect(coloured(await run("doctor"))).toEqual([[green, "as this version of drizzle-chat-store expects it"]]);
    await query("drop index chat_store.chats_user_idx");
    expect(coloured(await run("doctor"))).toEqual([
      [red, "1 difference"],
      [red, "missing"],
    ]);

    expect(await run("status", { NO_COLOR: "1" })).not.toContain("\u001b");
    expect(await run("status --json")).not.toContain("\u001b");
  });
});

test("without a terminal nothing is coloured, and purge deletes without a question", async () => {
  const { url, chats } = await openWithOldChats();
  const env = { ...process.env, DATABASE_URL: url, TERM: "xterm-256color" };
  const args = [`${root}/dist/cli.js`, ...purge];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { env });
  expect(stderr).toBe("");
  expect(stdout).toMatch(/^Database .*\nDeleted 2 chats without activity since .* UTC\.\n$/);
  expect(await chats()).toBe("young");
});

import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from "vitest";
import { withoutChance } from "../support/command-line.ts";
import { install, own, root, run } from "../support/pack.ts";
import { blocksOf } from "../support/pages.ts";

let folder: string;
/** Has installed the package, and later a driver. */
const application = () => join(folder, "application");
/** Has a driver, but not the package: npx runs it from elsewhere. */
const otherApplication = () => join(folder, "other-application");

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "drizzle-chat-store-command-line-"));
  const tarball = inject("tarball");
  for (const path of [application(), otherApplication()]) {
    await mkdir(path);
    await writeFile(join(path, "package.json"), JSON.stringify({ private: true, type: "module" }));
  }
  await install(application(), [tarball, await own("drizzle-orm"), await own("zod"), await own("ai")]);
  await install(otherApplication(), [await own("drizzle-orm"), await own("postgres")]);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** An empty database, gone after the test. */
async function openDatabase() {
  const admin = new pg.Client(inject("postgresUrl"));
  await admin.connect();
  const name = `command_line_${randomUUID().replaceAll("-", "")}`;
  await admin.query(`create database ${name}`);
  const url = new URL(inject("postgresUrl"));
  url.pathname = `/${name}`;
  const client = new pg.Client(url.href);
  await client.connect();
  onTestFinished(async () => {
    await client.end();
    await admin.query(`drop database ${name} with (force)`);
    await admin.end();
  });
  return { url: url.href, query: (text: string) => client.query(text) };
}

/** A command as a shell runs it. */
async function shell(command: string, { cwd, databaseUrl }: { cwd: string; databaseUrl: string }) {
  const env = { ...process.env, DATABASE_URL: databaseUrl };
  const { exitCode, stdout, stderr } = await run("bash", ["-c", command], { cwd, env }).then(
    (printed) => ({ exitCode: 0, ...printed }),
    (error: { code: number; stdout: string; stderr: string }) => ({ ...error, exitCode: error.code }),
  );
  return { exitCode, stdout: stdout.trimEnd(), stderr: stderr.replaceAll(/^npm warn .*\n/gm, "").trimEnd() };
}

const cli = () => JSON.stringify(join(application(), "node_modules", "drizzle-chat-store", "dist", "cli.js"));

describe("The command line of the packed package", () => {
  it("the command asks for a driver when there is none", async () => {
    const { url: databaseUrl } = await openDatabase();
    expect(await shell("npx drizzle-chat-store status", { cwd: application(), databaseUrl })).toEqual({
      exitCode: 3,
      stdout: "",
      stderr:
        "Found neither the driver pg nor postgres. The command uses the driver of your application, beside drizzle-orm: " +
        "run it in the application's folder, or install one there (npm install pg).",
    });
    // It needs none to print the SQL.
    expect(await shell("npx drizzle-chat-store sql", { cwd: application(), databaseUrl })).toMatchObject({
      exitCode: 0,
    });
  });

  it("the command uses the driver of its working folder when the package lies elsewhere", async () => {
    const { url: databaseUrl } = await openDatabase();
    const printed = await shell(`node ${cli()} migrate`, { cwd: otherApplication(), databaseUrl });
    expect({ ...printed, stdout: withoutChance(printed.stdout) }).toEqual({
      exitCode: 0,
      stdout:
        '<database>\nApplying 0000_chats\nApplying 0001_lifecycle\nApplying 0002_pages\nApplying 0003_turns\nApplying 0004_branches\nSchema "chat_store" is now at version 5, the newest.',
      stderr: "",
    });
  });

  it("the command prints the output that the docs show", async () => {
    await install(application(), [await own("pg")]);
    const { url: databaseUrl, query } = await openDatabase();
    const shown = ["docs/migrations.md", "docs/row-level-security.md"].flatMap((page) => blocksOf(join(root, page)));
    const blocks = shown.filter(({ language }) => language === "console");
    expect(blocks).toHaveLength(7);
    const exitCodes: number[] = [];
    for (const { note, text: block } of blocks) {
      if (note.startsWith("after: ")) await query(note.slice("after: ".length));
      let printed = "";
      for (const [, command = ""] of block.matchAll(/^\$ (.*)$/gm)) {
        const { exitCode, stdout, stderr } = await shell(command, { cwd: application(), databaseUrl });
        expect(stderr).toBe("");
        printed += `$ ${command}\n${stdout}\n`;
        exitCodes.push(exitCode);
      }
      const shown = (text: string) => withoutChance(text).replaceAll(/"database": \{[^}]*\}/g, "<database>");
      expect(shown(block)).toBe(shown(printed));
    }
    // --help, status, migrate, status, sql | head, doctor; after the accidents doctor and status; sql --rls.
    expect(exitCodes).toEqual([0, 1, 0, 0, 0, 0, 1, 1, 0]);
  });
});

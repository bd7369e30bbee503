import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { promisify } from "node:util";
import pg from "pg";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { runCommandLine } from "../../src/cli/command-line.ts";
import { nameOf } from "../../src/cli/target.ts";
import { folderWith } from "../support/application-folder.ts";
import { root } from "../support/command-line.ts";

const server = new URL(inject("postgresUrl"));
const { hostname, port, host } = server;

/** A database with its own name, and a user whose name and password must not be shown. */
async function openDatabase(name: string) {
  const admin = new pg.Client(server.href);
  await admin.connect();
  const user = `hidden_${randomUUID().slice(0, 8)}`;
  const password = "se:c/r?e#t@%";
  await admin.query(`create role ${user} superuser login password '${password}'`);
  await admin.query(`create database ${pg.escapeIdentifier(name)} owner ${user}`);
  onTestFinished(async () => {
    await admin.query(`drop database ${pg.escapeIdentifier(name)} with (force)`);
    await admin.query(`drop role ${user}`);
    await admin.end();
  });
  return { user, password, login: `${user}:${encodeURIComponent(password)}` };
}

const uniqueName = () => `shown_${randomUUID().slice(0, 8)}`;

describe.each(["pg", "postgres"])("with the driver %s", (driver) => {
  const firstLine = async (databaseUrl: string) => {
    const lines: string[] = [];
    const output = { print: (text: string) => void lines.push(text), printError: expect.fail };
    await runCommandLine(["status"], { databaseUrl, cwd: await folderWith(driver), ...output });
    expect(lines.join("\n")).not.toMatch(/hidden|se:c|se%3Ac|application/);
    return lines[0];
  };

  test("the commands name host, port and database, and no user, password or parameter of the URL", async () => {
    const name = uniqueName();
    const { user, password, login } = await openDatabase(name);
    const parameters = `user=${user}&password=${encodeURIComponent(password)}&application_name=hidden`;
    for (const url of [
      `postgres://${login}@${host}/${name}?application_name=hidden`,
      `postgresql://${login}@other.invalid/${name}?host=${hostname}&port=${port}`,
      `postgres://${hostname}:${port}/${name}?${parameters}`,
      `postgres:///${name}?host=${hostname}&port=${port}&${parameters}`,
    ]) {
      expect(await firstLine(url)).toBe(`Database "${name}" at ${hostname}:${port}`);
    }
  });

  test("a name that would control the terminal is escaped", async () => {
    const name = `${uniqueName()} \u001b[2J"\n`;
    const { login } = await openDatabase(name);
    const shown = await firstLine(`postgres://${login}@${host}/${encodeURIComponent(name)}`);
    expect(shown).toBe(`Database ${JSON.stringify(name)} at ${hostname}:${port}`);
  });

  test("host, port, database and user may come from the environment, as the driver reads it", async () => {
    const name = uniqueName();
    const { user, password } = await openDatabase(name);
    const env = { PGHOST: hostname, PGPORT: port, PGDATABASE: name, PGUSER: user, PGPASSWORD: password };
    const { stdout } = await promisify(execFile)(process.execPath, [`${root}/dist/cli.js`, "migrate"], {
      cwd: await folderWith(driver),
      env: { ...process.env, ...env, DATABASE_URL: "postgres://" },
    });
    expect(stdout.split("\n")[0]).toBe(`Database "${name}" at ${hostname}:${port}`);
    expect(stdout).not.toContain(user);
  });
});

test.each([
  [{ name: "app", host: "localhost", port: 5432 }, 'database "app" at localhost'],
  [{ name: "app", host: "::1", port: 5432 }, 'database "app" at [::1]'],
  [{ name: "app", host: "fe80::1", port: 6543 }, 'database "app" at [fe80::1]:6543'],
  [{ name: "app", host: "/tmp", port: 5433 }, 'database "app" at /tmp:5433'],
  [{ name: "a b", host: "/cloudsql/p:r:i", port: 5432 }, 'database "a b" at /cloudsql/p:r:i'],
  [{ name: "app", host: "one,two", port: 5432 }, 'database "app" at one,two'],
  [{ name: "\u001b[31m", host: "h\u0007", port: 5432 }, String.raw`database "\u001b[31m" at h\u0007`],
])("a database is named as people write it: %j", (target, name) => {
  expect(nameOf(target)).toBe(name);
});

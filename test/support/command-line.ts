import { fileURLToPath } from "node:url";
import pg from "pg";
import { onTestFinished } from "vitest";
import { runCommandLine } from "../../src/cli/command-line.ts";
import { createDatabase } from "./databases.ts";

export const root = fileURLToPath(new URL("../..", import.meta.url));

/** Runs a command as a shell would, and gives what it prints. */
export async function runCommand(
  args: string[],
  { databaseUrl, cwd = root }: { databaseUrl?: string | undefined; cwd?: string } = {},
) {
  const printed: string[] = [];
  const errors: string[] = [];
  const exitCode = await runCommandLine(args, {
    databaseUrl,
    cwd,
    print: (text) => printed.push(text),
    printError: (text) => errors.push(text),
  });
  return { exitCode, stdout: withoutChance(printed.join("\n")), stderr: withoutChance(errors.join("\n")) };
}

/** Without times, and without the name and the place of the database. */
export const withoutChance = (text: string) =>
  text
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "<time>")
    .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d\b/g, "<minute>")
    .replaceAll(/^Database "\w+" at \S+$/gm, "<database>");

/** An empty database, gone after the test. */
export async function openEmptyDatabase() {
  const { url, drop } = await createDatabase({ empty: true });
  const client = new pg.Client(url);
  await client.connect();
  onTestFinished(async () => {
    await client.end();
    await drop();
  });
  return { url, query: async (text: string) => (await client.query(text)).rows };
}

import { spawn } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "./support/folder.ts";
import { hasPseudoTerminal, runOnTerminal } from "./support/pseudo-terminal.ts";

const folder = temporaryFolder("demo");

/** The paragraphs that the demo prints, by their headings, and when it printed its first line. */
async function runDemo(): Promise<Record<string, string[]>> {
  const child = spawn(process.execPath, ["--import", "tsx", "examples/demo.ts"], {
    env: { ...process.env, DATA_DIR: join(folder, "data"), FORCE_COLOR: undefined },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (text) => (printed += text));
  const exitCode = await new Promise((resolve) => child.once("close", resolve));
  expect(exitCode).toBe(0);
  expect(printed).not.toContain("\u001b");
  const paragraphs = printed.trim().split("\n\n");
  return Object.fromEntries(
    paragraphs.map((paragraph) => {
      const [heading = "", ...lines] = paragraph.split("\n");
      return [heading.split(/[ ,:]/, 2).join(" "), lines];
    }),
  );
}

const textAfter = (label: string, lines: string[] = []) =>
  lines.find((line) => line.startsWith(label.padEnd(12)))?.slice(12) ?? "";

test("the demo kills a server in the middle of an answer, and shows the words and the whole answer after it", async () => {
  const run = await runDemo();
  expect(Object.keys(run)).toEqual([
    "A server",
    "A question",
    "The server",
    "Another server",
    "Stored",
    "All chats",
    "Run it",
  ]);
  const question = textAfter("user", run["The server"]);
  const killed = textAfter("assistant", run["The server"]);
  expect(killed).toMatch(/^\S.* ✗ killed$/);
  const soFar = textAfter("so far", run["Another server"]).replace(/…$/, "");
  const answer = textAfter("assistant", run["Another server"]);
  expect(soFar).toMatch(/^\w+ /);
  expect(killed.startsWith(soFar)).toBe(true);
  expect(answer.startsWith(killed.replace("✗ killed", ""))).toBe(true);
  expect(answer.length).toBeGreaterThan(killed.length);
  expect(run.Stored?.slice(2)).toEqual([`user        ${question}`, `assistant   ${answer}`]);
  expect(run.Stored).toHaveLength(4);

  const again = await runDemo();
  expect(again["All chats"]).toHaveLength(2);
  expect(again["All chats"]?.map((line) => line.slice(0, 12).trim())).toEqual(["new", ""]);
});

test.skipIf(!hasPseudoTerminal)("the demo is coloured on a terminal", async () => {
  const command = `"${process.execPath}" --import tsx examples/demo.ts`;
  const { exitCode, shown } = await runOnTerminal(command, { env: { DATA_DIR: join(folder, "terminal") } });
  expect(exitCode).toBe(0);
  expect(shown).toContain("\u001b[31m✗ killed\u001b[39m");
});

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { textOf } from "../support/conversations.ts";
import { asJson, ask, type ExampleServer, newFolder, newUser, startServer } from "../support/express.ts";

/** Without a key a mock model answers, and without a Postgres the server makes a database in its folder. */
let server: ExampleServer;

beforeAll(async () => {
  server = await startServer({ DATA_DIR: await newFolder() });
});
afterAll(() => server?.dispose());

const firstAnswer = (question: string) =>
  `You asked "${question}", the first question of this chat. ` +
  "I am a mock model, and that is all I know. Set OPENAI_API_KEY to talk to a real one.";

test("The mock model answers word by word for about two seconds, and the server stores what the client shows", async () => {
  const userId = newUser();
  const chat = server.openChat(userId);
  const lengths = new Set<number>();
  const watch = setInterval(() => lengths.add(textOf(chat.messages[1])?.length ?? 0), 20);
  // Time is what this test is about. The upper limit is wide: a wrong delay between the words would count for each of them.
  const began = Date.now();
  await ask(chat, "Why is the sky blue?");
  clearInterval(watch);
  expect(Date.now() - began).toBeGreaterThan(1_500);
  expect(Date.now() - began).toBeLessThan(6_000);
  expect(lengths.size).toBeGreaterThan(10);
  expect(textOf(chat.messages[1])).toBe(firstAnswer("Why is the sky blue?"));

  await ask(chat, "And at night?");
  expect(textOf(chat.messages[3])).toContain('"And at night?", and before that "Why is the sky blue?"');
  const stored = await server.getChat(chat.id, userId);
  expect(stored).toMatchObject({ id: chat.id, title: "Why is the sky blue?", version: 4 });
  expect(stored.messages).toEqual(asJson(chat.messages));
});

test("The mock model gives the same answers in the same conversation", async () => {
  const answers = await Promise.all(
    [newUser(), newUser()].map(async (userId) => {
      const chat = server.openChat(userId);
      await ask(chat, "Why?");
      await ask(chat, "Really?");
      return chat.messages.map(textOf);
    }),
  );
  expect(answers[0]).toEqual(answers[1]);
});

test("README's curl commands print what README shows", async () => {
  const readme = await readFile(join(inject("expressExample"), "README.md"), "utf8");
  const blocks = [...readme.matchAll(/^```sh\n(curl [^`]+)\n```\n\n```(json)?\n([^`]+)\n```$/gm)];
  expect(blocks).toHaveLength([...readme.matchAll(/^curl /gm)].length);
  expect(blocks.length).toBeGreaterThan(5);
  for (const [, command = "", json, shown = ""] of blocks) {
    const printed = await printedBy(command.replaceAll("localhost:3000", new URL(server.url).host));
    if (json) expect(masked(JSON.parse(printed)), command).toEqual(masked(JSON.parse(shown)));
    else expect(masked(printed).trim(), command).toMatch(patternOf(masked(shown)));
  }
});

test("README shows the mount as the server has it", async () => {
  const [readme = "", server] = await Promise.all(
    ["README.md", "server.ts"].map((file) => readFile(join(inject("expressExample"), file), "utf8")),
  );
  const [mount] = readme.match(/^app\.all\(.+$/m) ?? [];
  expect(server).toContain(mount ?? expect.fail("README shows no mount."));
});

test("The example's types are right", async () => {
  const { stdout } = await promisify(execFile)("npm", ["run", "--silent", "types"], { cwd: inject("expressExample") });
  expect(stdout).toBe("");
});

/** What a command prints. Where README waits for a second, so that some words come, this waits for two words. */
async function printedBy(command: string): Promise<string> {
  const leaving = command.replace(" --max-time 1", "");
  if (leaving !== command) {
    // The shell becomes curl, so that the signal ends it.
    const answer = start(`exec ${leaving}`);
    await answer.hasBegun();
    answer.process.kill();
    return answer.ended;
  }
  const [asking = "", stopping] = command.replace(/; wait$/, "").split(" & sleep 1; ");
  const answer = start(asking);
  if (stopping === undefined) return answer.ended;
  await answer.hasBegun();
  const stopped = await start(stopping).ended;
  return (await answer.ended) + stopped;
}

interface Command {
  process: ChildProcess;
  /** Resolves when two words of an answer are printed. */
  hasBegun(): Promise<void>;
  /** All that it has printed in the end, also when that is an error. */
  ended: Promise<string>;
}

function start(command: string): Command {
  const shell = spawn("bash", ["-c", command], { stdio: ["ignore", "pipe", "ignore"] });
  let printed = "";
  shell.stdout.setEncoding("utf8").on("data", (text: string) => {
    printed += text;
  });
  return {
    process: shell,
    hasBegun: () => expect.poll(() => printed).toMatch(/"delta":.*"delta":/s),
    ended: new Promise((resolve) => shell.on("close", () => resolve(printed))),
  };
}

/** Without what differs each time: random ids and times. */
function masked<T>(value: T): T {
  const uuid = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;
  const date = /\d{4}-\d\d-\d\dT[\d:.]+Z/g;
  return JSON.parse(JSON.stringify(value).replace(uuid, "an id").replace(date, "a time"));
}

/** An ellipsis stands for any lines. */
function patternOf(text: string): RegExp {
  const pieces = text.split("…").map((piece) => piece.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
  return new RegExp(`^${pieces.map((piece) => piece.trim()).join("\\s[^]*\\s?")}$`);
}

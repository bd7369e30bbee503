import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as api from "../src/index.ts";
import { createChatStore } from "../src/index.ts";
import { serve, TestChat } from "./support/chat-server.ts";
import { createDatabase, databases, type TestDatabase } from "./support/databases.ts";
import { temporaryFolder } from "./support/folder.ts";
import { blocksOf } from "./support/pages.ts";
import { model, text } from "./support/sdk-messages.ts";

const blocks = blocksOf("README.md");
const folder = temporaryFolder("readme");
const [embedded] = databases as [(typeof databases)[number]];

test('README\'s "Try it" is two commands, which are scripts of this package', () => {
  const [shell] = blocks.filter(({ language }) => language === "sh");
  const commands = shell?.text.trim().split("\n");
  expect(commands).toEqual(["npm install && npm run demo", "npm install && npm test"]);
  const { scripts } = JSON.parse(readFileSync("package.json", "utf8"));
  expect(scripts).toMatchObject({ demo: expect.any(String), test: expect.any(String) });
});

test("README's table of the API names every method and export, and nothing else", () => {
  const [, table = ""] = /^## API\n([\s\S]*?)^## /m.exec(readFileSync("README.md", "utf8")) ?? [];
  const rows = [...table.matchAll(/^\| ((?:`[^`]*`(?:, )?)+) \|/gm)].flatMap(([, cell = ""]) => cell.split(/, (?=`)/));
  const named = rows.map((name) => /^`(\w+)[(<`]/.exec(name)?.[1]).filter((name) => name !== undefined);
  const methods = Object.keys(createChatStore(drizzle.mock()));
  expect(named.sort()).toEqual([...methods, ...Object.keys(api)].sort());
});

test("README's set-up survives the loss of its pool's connections", async () => {
  const install = blocks.find(({ text }) => text.includes("new pg.Pool"))?.text ?? "";
  const file = join(folder, "install.ts");
  const { url, drop } = await createDatabase();
  const admin = new pg.Client(url);
  await admin.connect();
  await writeFile(
    file,
    `${install}\nprocess.stdin.on("data", async () => console.log(await store.getChats({ userId: "u" })));\nconsole.log("ready");\n`,
  );
  const env = { ...process.env, DATABASE_URL: url };
  const child = spawn(process.execPath, ["--import", "tsx", file], { env });
  try {
    let printed = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (printed += text));
    await expect.poll(() => printed).toBe("ready\n");
    const terminated = await admin.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
    );
    expect(terminated.rowCount).toBeGreaterThan(0);
    await expect.poll(() => printed).toContain("terminating connection");
    child.stdin.write("list\n");
    await expect.poll(() => printed).toMatch(/\[\]\n$/);
    expect(child.exitCode).toBeNull();
  } finally {
    child.kill();
    await admin.end();
    await drop();
  }
});

describe("The routes of docs/turns.md", () => {
  const printed = blocksOf("docs/turns.md");
  const handler = printed.find(({ note }) => note === "route")?.text ?? "";
  const live = printed.find(({ note }) => note === "live")?.text ?? "";
  let database: TestDatabase;
  beforeAll(async () => {
    database = await embedded.open();
    const application = {
      store: createChatStore(database.db),
      model: model([text("Hello."), text("Again."), text("Anew."), text("And on and")], () => new Promise(() => {})),
      tools: {},
    };
    // The handler as it is printed, next to what it imports from the application.
    await writeFile(join(folder, "handler.ts"), handler);
    await writeFile(join(folder, "live.ts"), live);
    await writeFile(
      join(folder, "chat.ts"),
      "export const { model, store, tools } = globalThis.application;\nexport const userIdOf = async (request) => request.headers.get('x-user-id');\n",
    );
    Object.assign(globalThis, { application });
  });
  afterAll(() => database.close());

  test("the handler has at most 15 lines, runs as printed, and stores the messages that the client shows", async () => {
    expect(handler.trim().split("\n").length).toBeLessThanOrEqual(15);
    const { POST } = await import(/* @vite-ignore */ join(folder, "handler.ts"));
    const server = await serve(POST);
    const chat = new TestChat({ id: "c", url: server.url });
    await chat.sendMessage({ text: "Hi" });
    await chat.sendMessage({ text: "And?" });
    await chat.regenerate();
    await server.close();
    const stored = await createChatStore(database.db).getChat({ userId: "u", chatId: "c" });
    expect(stored).toMatchObject({ version: 5, messages: JSON.parse(JSON.stringify(chat.messages)) });
    expect(stored?.messages).toHaveLength(4);
  });

  test("the two routes of live turns show an answer in another tab, and stop it from there", async () => {
    const { POST } = await import(/* @vite-ignore */ join(folder, "handler.ts"));
    const { GET, DELETE } = await import(/* @vite-ignore */ join(folder, "live.ts"));
    const routes: Record<string, (request: Request, chatId: string) => Promise<Response>> = { POST, GET, DELETE };
    const server = await serve((request) => routes[request.method]?.(request, "c") ?? expect.fail());
    const headers = { "x-user-id": "u" };
    const chat = new TestChat({ id: "c", url: server.url, messages: [] });
    const asked = chat.sendMessage({ text: "What else?" });
    const said = () => JSON.stringify(chat.messages.at(-1)?.parts);
    await expect.poll(said).toContain("And on and");
    const tab = await fetch(`${server.url}?version=5`, { headers });
    expect(Object.fromEntries(tab.headers)).toMatchObject({ "content-type": "text/event-stream" });
    const question = chat.messages.findLast(({ role }) => role === "user")?.id;
    const stop = await fetch(`${server.url}?message=${question}`, { method: "DELETE", headers });
    expect(stop.status).toBe(204);
    expect(await tab.text()).toMatch(/And on and[\s\S]*"type":"abort"[\s\S]*data: \[DONE\]\n\n$/);
    await asked;
    const stored = await createChatStore(database.db).getChat({ userId: "u", chatId: "c" });
    expect(JSON.stringify(stored?.messages.at(-1)?.parts)).toContain("And on and");
    expect((await fetch(server.url, { headers })).status).toBe(204);
    await server.close();
  });
});

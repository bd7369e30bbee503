import { execFile } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { bundlers } from "../support/bundles/bundlers.ts";
import { createDatabase } from "../support/databases.ts";
import { isLong } from "../support/long-run.ts";
import { npm, packInto } from "../support/pack.ts";
import { startServer } from "../support/start-server.ts";

const run = promisify(execFile);
const drivers = ["node-postgres", "postgres-js"];

/** Of this test alone, outside the repository: no module can be found in a node_modules above. */
let folder: string;
let app: string;

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "drizzle-chat-store-bundles-")));
  const tarball = await packInto(folder);
  app = join(folder, "app");
  // What somebody has installed or built there by hand stays behind.
  const filter = (path: string) => !/[/\\]app[/\\](node_modules|out|\.next)$/.test(path);
  await cp(fileURLToPath(new URL("../support/bundles/app", import.meta.url)), app, { recursive: true, filter });
  const flags = ["--no-save", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"];
  await npm(["install", ...flags, tarball], { cwd: app });
});

afterAll(() => rm(folder, { recursive: true, force: true }));

const expected = {
  messages: [
    { id: "m1", role: "user", parts: [{ type: "text", text: "Weather?" }] },
    { id: "m2", role: "assistant", metadata: { model: "x" }, parts: [{ type: "text", text: "Sunny \u0000" }] },
  ],
  refusal: { name: "ChatOwnershipError", code: "CHAT_NOT_OWNED", isInstance: true },
};

const builds = bundlers
  .filter(({ often }) => often || isLong)
  .flatMap(({ name, scripts }) => scripts.map((script) => ({ name, script })));
const scripts = builds.filter(({ name }) => !name.startsWith("Next"));
const servers = builds.filter(({ name }) => name.startsWith("Next"));

test.for(servers)("a server built with $name migrates when it starts, and stores chats", async ({ script }) => {
  const output = await bundle(script);
  expect(await readdir(join(output, "node_modules"))).not.toContain("drizzle-chat-store");
  const bundled = await isolate(output);
  const database = await createDatabase({ empty: true });
  onTestFinished(database.drop);
  const url = await serve(bundled, database.url);
  for (const driver of drivers) {
    const response = await fetch(`${url}/${driver}`, { method: "POST" });
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual(expected);
  }
});

test.for(scripts)("a script built with $name ($script) migrates and stores chats", async ({ script }) => {
  const bundled = await isolate(await bundle(script));
  // Beside one for each driver, webpack puts out a file of its own for what is imported on demand.
  const files = await readdir(bundled);
  for (const driver of drivers) {
    const database = await createDatabase({ empty: true });
    onTestFinished(database.drop);
    const file = files.find((file) => file.startsWith(driver)) ?? expect.fail(`no bundle for ${driver}`);
    const code = await readFile(join(bundled, file), "utf8");
    expect(/CREATE TABLE \\?"chat_store/.test(code), "the SQL is in the bundle").toBe(true);
    const { stdout } = await run(process.execPath, [...onlyReading(bundled), file], {
      cwd: bundled,
      env: { DATABASE_URL: database.url },
    });
    expect(JSON.parse(stdout)).toEqual(expected);
  }
});

test("the whole package adds less than 120 kB to a minified bundle, 40 kB compressed", async () => {
  const [file = ""] = await readdir(await bundle("size"));
  const code = await readFile(join(app, "out", "size", file));
  expect(code.length).toBeLessThan(120_000);
  expect(gzipSync(code).length).toBeLessThan(40_000);
});

test.for(bundlers)("the installed bundler has the major version of $name", async ({ name, tool }) => {
  const { version } = JSON.parse(await readFile(join(app, "node_modules", tool, "package.json"), "utf8"));
  const major = / (\d+)/.exec(name)?.[1];
  if (major) expect(version.split(".")[0]).toBe(major);
});

/** Runs one of the application's scripts. Resolves to the folder of its output. */
async function bundle(script: string): Promise<string> {
  await run("npm", ["run", script], { cwd: app, env: { ...process.env, NEXT_TELEMETRY_DISABLED: "1" } });
  return join(app, "out", script);
}

/** Copies what a bundler has put out into an otherwise empty folder. */
async function isolate(output: string): Promise<string> {
  const empty = await mkdtemp(join(folder, "empty-"));
  // Turbopack links to packages it does not bundle. Left to itself, `cp` would make these links lead back to the application.
  await cp(output, empty, { recursive: true, verbatimSymlinks: true });
  return empty;
}

/** Node's permissions let the process read nothing but its own folder. */
function onlyReading(folder: string): string[] {
  const network = process.allowedNodeEnvironmentFlags.has("--allow-net") ? ["--allow-net"] : [];
  return ["--permission", `--allow-fs-read=${folder}`, ...network];
}

/** Starts Next's standalone server for the running test, and gives its address when it answers. */
const serve = (cwd: string, databaseUrl: string) =>
  startServer(() => ({
    file: process.execPath,
    args: [...onlyReading(cwd), "server.js"],
    cwd,
    env: { DATABASE_URL: databaseUrl, HOSTNAME: "127.0.0.1", NEXT_TELEMETRY_DISABLED: "1" },
  }));

import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, inject, onTestFinished, test } from "vitest";
import { createChatStore } from "../../src/index.ts";
import { textOf } from "../support/conversations.ts";
import { createDatabase, nodePostgres } from "../support/databases.ts";
import { mounts, useMountedChat } from "../support/mounts.ts";
import { install, own, packInto } from "../support/pack.ts";
import { bun, deno, type Recognised, type Runtime, runtimes, workerd } from "../support/runtimes/runtimes.ts";
import { startServer } from "../support/start-server.ts";

const run = promisify(execFile);

/** Of this test alone, outside the repository: no module can be found in a node_modules above. */
let folder: string;
let app: string;

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "drizzle-chat-store-runtimes-")));
  const packed = join(folder, "packed");
  app = join(folder, "app");
  await mkdir(packed);
  await mkdir(app);
  const tarball = await packInto(packed);
  await writeFile(join(app, "package.json"), JSON.stringify({ private: true, type: "module" }));
  const others = ["drizzle-orm", "ai", "zod", "pg", "postgres", "@electric-sql/pglite", "esbuild"];
  await install(app, [
    tarball,
    ...(await Promise.all(others.map((name) => own(name)))),
    ...runtimes.map((runtime) => runtime.package),
  ]);
  const support = fileURLToPath(new URL("../support", import.meta.url));
  await cp(join(support, "runtimes", "programs"), join(app, "programs"), { recursive: true });
  await cp(join(support, "mounted-chat.ts"), join(app, "programs", "chat.ts"));
  // Where these find it here as well.
  await cp(join(support, "eventually.ts"), join(folder, "eventually.ts"));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

const text = (said: string) => ({ type: "text", text: said });

/** What the program gives, whatever it runs on. */
const expected = (recognised: Recognised) => ({
  messages: [
    { id: "m1", role: "user", parts: [text("Weather?")] },
    {
      id: "m2",
      role: "assistant",
      metadata: { model: "x", at: 1.5, none: null },
      parts: [text("Sunny \u0000 \u{1F31E}")],
    },
    { id: "m3", role: "user", parts: [text("Thanks")] },
  ],
  chats: [{ id: "c1", title: "Weather", version: 4 }],
  page: { messages: ["m3"], hasMore: true },
  found: ["c1"],
  refusals: ["CHAT_NOT_OWNED", "INVALID_CHAT", "CHAT_CONFLICT"],
  recognised,
  answered: {
    status: 200,
    messages: [
      { role: "user", parts: [text("Why do tides turn?")] },
      { role: "assistant", parts: [{ type: "step-start" }, { ...text("The moon pulls."), state: "done" }] },
    ],
  },
  stopped: { answers: [false, true, false], texts: ["Why do tides turn?", "The moon "] },
  deleted: [true, false],
});

const withDrivers = (runtime: Runtime) =>
  runtime.drivers.map((driver) => ({ ...driver, runtime: runtime.name, driver: driver.name }));

const flagsOfDeno = ["--allow-all", "--node-modules-dir=manual", "--no-lock"];

test.for(withDrivers(bun))("the package works on $runtime with $driver", async ({ program, recognised }) => {
  expect(await resultOf(await binaryOf(bun), [pathOf(program)])).toEqual(expected(recognised));
});

test.for(withDrivers(deno))("the package works on $runtime with $driver", async ({ program, recognised }) => {
  expect(await resultOf(await binaryOf(deno), ["run", ...flagsOfDeno, pathOf(program)])).toEqual(expected(recognised));
});

test.for(withDrivers(workerd))("the package works on $runtime with $driver", async ({ program, recognised }) => {
  const { url } = await serve(await bundle(program));
  const response = await fetch(`${url}/exercise`);
  expect(response.status).toBe(200);
  expect(await response.json()).toEqual(expected(recognised));
});

test("a turn on workerd survives the browser if waitUntil has its stream, and dies if not", async () => {
  const [driver = expect.fail()] = workerd.drivers;
  const { url, databaseUrl } = await serve(await bundle(driver.program));
  // The first request makes the tables.
  expect((await fetch(`${url}/exercise`)).status).toBe(200);
  await Promise.all(
    ["waiting", "not-waiting"].map(async (path) => {
      const leave = new AbortController();
      const response = await fetch(`${url}/${path}`, { signal: leave.signal });
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader() ?? expect.fail();
      let seen = "";
      while (!seen.includes("The moon ")) seen += (await reader.read()).value ?? expect.fail("the answer has ended");
      leave.abort();
    }),
  );
  const { db, end } = nodePostgres(databaseUrl, 1);
  onTestFinished(async () => void (await end()));
  const store = createChatStore(db);
  const textsOf = async (chatId: string) => (await store.getChat({ userId: "u1", chatId }))?.messages.map(textOf);
  await expect.poll(() => textsOf("waiting")).toEqual(["Why do tides turn?", "The moon pulls."]);
  // It has begun at the same time, and would have ended with the other.
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  expect(await textsOf("not waiting")).toEqual(["Why do tides turn?"]);
});

test("the package works on a runtime whose node:crypto has no hash", async () => {
  const { program, recognised } = bun.drivers.find(({ name }) => name === "PGlite") ?? expect.fail();
  const before = `./${pathOf(new URL("../support/runtimes/programs/without-hash.ts", import.meta.url))}`;
  expect(await resultOf(process.execPath, ["--import", before, pathOf(program)])).toEqual(expected(recognised));
});

const mountsOn = [
  { runtime: bun, flags: [] },
  { runtime: deno, flags: ["run", ...flagsOfDeno] },
].map(({ runtime, flags }) => ({ name: runtime.name, runtime, flags }));

test.for(mountsOn)("the chat handler serves every route on $name, mounted as the docs print it", async (mounted) => {
  const { name, runtime, flags } = mounted;
  const { block } = mounts.find((mount) => mount.name === name.toLowerCase()) ?? expect.fail();
  const program = join("programs", `mount-${name}.ts`);
  await writeFile(join(app, program), block.text);
  const database = await createDatabase({ empty: true });
  onTestFinished(database.drop);
  const binary = await binaryOf(runtime);
  const env = { ...process.env, DATABASE_URL: database.url };
  const url = await startServer(() => ({ file: binary, args: [...flags, program], cwd: app, env }));
  await useMountedChat(url);
});

test.for(runtimes)("the installed $name has the version that the compatibility table names", async (runtime) => {
  const { stdout } = await run(await binaryOf(runtime), ["--version"]);
  const version = /\d\S*/.exec(stdout)?.[0];
  expect(`version ${version}.`).toContain(`version ${runtime.version}.`);
});

const pathOf = (program: URL) => join("programs", basename(program.pathname));

/** Without install scripts, the packages that bring a runtime have it only in another package, for this machine. */
async function binaryOf({ binary: { scope, file } }: Runtime): Promise<string> {
  const [name = expect.fail(`npm has no package of ${scope} for this machine`)] = (
    await readdir(join(app, "node_modules", scope))
  ).sort();
  return join(app, "node_modules", scope, name, file);
}

/** Runs a program on an empty database. It has to end by itself. */
async function resultOf(file: string, args: string[]): Promise<unknown> {
  const database = await createDatabase({ empty: true });
  onTestFinished(database.drop);
  const running = run(file, args, {
    cwd: app,
    env: { ...process.env, DATABASE_URL: database.url, EMPTY_PGLITE: inject("emptyPglite"), NO_COLOR: "1" },
  });
  // The chats' timers are a minute long, and must not keep a process that has printed its result.
  const { child } = running;
  let timer: NodeJS.Timeout | undefined;
  child.stdout?.once("data", () => {
    timer = setTimeout(() => child.kill(), 40_000);
  });
  const { stdout } = await running.finally(() => clearTimeout(timer));
  return JSON.parse(stdout);
}

/** Makes one file of a worker, as Cloudflare's own tools do. */
async function bundle(program: URL): Promise<string> {
  const output = await mkdtemp(join(folder, "worker-"));
  const externals = ["node:*", "cloudflare:*"].map((name) => `--external:${name}`);
  const flags = ["--bundle", "--format=esm", "--conditions=workerd,worker,browser", ...externals];
  const esbuild = join(app, "node_modules", ".bin", "esbuild");
  await run(esbuild, [pathOf(program), ...flags, `--outfile=${join(output, "worker.js")}`], { cwd: app });
  return output;
}

/** Starts workerd on an empty database, and resolves when it answers. */
async function serve(output: string): Promise<{ url: string; databaseUrl: string }> {
  const database = await createDatabase({ empty: true });
  onTestFinished(database.drop);
  const binary = await binaryOf(workerd);
  const url = await startServer(async (port) => {
    await writeFile(join(output, "config.capnp"), configOf(port));
    return { file: binary, args: ["serve", "config.capnp"], cwd: output, env: { DATABASE_URL: database.url } };
  });
  return { url, databaseUrl: database.url };
}

/** The one flag and the date that docs/compatibility.md names. */
const configOf = (port: number) => `
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "network", network = (allow = ["private"], deny = [])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);

const worker :Workerd.Worker = (
  modules = [(name = "worker", esModule = embed "worker.js")],
  compatibilityDate = "2024-09-23",
  compatibilityFlags = ["nodejs_compat"],
  globalOutbound = "network",
  bindings = [(name = "DATABASE_URL", fromEnvironment = "DATABASE_URL")],
);
`;

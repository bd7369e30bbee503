import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { onFreePort } from "./postgres.ts";

/** What docs/compatibility.md speaks of. Since 1.21 PgBouncer can keep prepared statements. */
export const pgBouncerVersion = "1.18";

/**
 * PgBouncer in transaction mode before the server of `databaseUrl`. It has few connections to it, so that clients change
 * places on them all the time.
 */
export const startPgBouncer = (databaseUrl: string) => onFreePort((port) => startOn(port, databaseUrl));

async function startOn(port: number, databaseUrl: string) {
  const target = new URL(databaseUrl);
  const url = new URL(databaseUrl);
  url.hostname = "127.0.0.1";
  url.port = String(port);
  const folder = await mkdtemp(join(tmpdir(), "drizzle-chat-store-pgbouncer-"));
  const settings = join(folder, "pgbouncer.ini");
  await writeFile(
    settings,
    `[databases]
* = host=${target.hostname} port=${target.port || 5432} user=${target.username} password=${target.password}
[pgbouncer]
pool_mode = transaction
default_pool_size = 3
listen_addr = 127.0.0.1
listen_port = ${url.port}
unix_socket_dir =
auth_type = any
`,
  );

  // It refuses to run as root; the settings it has read by then.
  const user = process.getuid?.() === 0 ? ["-u", "nobody"] : [];
  // Debian's is not on everybody's PATH.
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` };
  const server = spawn("pgbouncer", [...user, settings], { env, stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise<void>((resolve) => server.once("close", () => resolve()));
  const stop = async () => {
    // At once, not when its clients have left.
    server.kill("SIGTERM");
    await ended;
    await rm(folder, { recursive: true });
  };

  const log: string[] = [];
  try {
    const version = await new Promise<string | undefined>((resolve, reject) => {
      server.once("error", (cause: NodeJS.ErrnoException) => {
        const advice = "There is no pgbouncer here. Install it: apt-get install -y --no-install-recommends pgbouncer";
        reject(cause.code === "ENOENT" ? new Error(advice, { cause }) : cause);
      });
      createInterface({ input: server.stderr }).on("line", (line) => {
        log.push(line);
        const up = /process up: PgBouncer (\d+\.\d+)/.exec(line);
        if (up) resolve(up[1]);
      });
      void ended.then(() => reject(new Error(`pgbouncer did not start:\n${log.join("\n")}`)));
    });
    return { url: url.href, version, stop };
  } catch (error) {
    await rm(folder, { recursive: true });
    throw error;
  }
}

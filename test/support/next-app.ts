import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { installExample } from "./install-example.ts";

export const folder = fileURLToPath(new URL("../../examples/next", import.meta.url));
const env = { ...process.env, NEXT_TELEMETRY_DISABLED: "1" };

/** `REUSE_BUILD=1` takes what an earlier run has built. */
export async function build() {
  if (process.env.REUSE_BUILD) return;
  await installExample("next");
  execFileSync("npm", ["run", "build"], { cwd: folder, env, stdio: "inherit" });
}

/** The built example on a free port of this machine, with a database of its own. */
export async function start() {
  const dataDir = mkdtempSync(join(tmpdir(), "next-example-"));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  // Without keys.
  const serverEnv = {
    ...env,
    PORT: String(port),
    DATA_DIR: dataDir,
    DATABASE_URL: "",
    OPENAI_API_KEY: "",
    SESSION_SECRET: "",
  };
  let stopServer = await run();
  return {
    url,
    async restart(signal: "SIGTERM" | "SIGKILL") {
      await stopServer(signal);
      stopServer = await run();
    },
    /** For this user, by the example's script. Resolves to its path. The embedded database is for one process at a time. */
    async makeLongChat(userId: string, messages: number) {
      await stopServer("SIGTERM");
      const args = ["--silent", "run", "long-chat", "--", "--user", userId, "--messages", `${messages}`];
      const path = execFileSync("npm", args, { cwd: folder, env: serverEnv, encoding: "utf8" }).trim();
      stopServer = await run();
      return path;
    },
    async stop() {
      await stopServer("SIGTERM");
      rmSync(dataDir, { recursive: true, force: true });
    },
  };

  async function run() {
    // In a process group of its own, which can be stopped as a whole.
    const server = spawn("npm", ["start"], {
      cwd: folder,
      env: serverEnv,
      stdio: ["ignore", "inherit", "inherit"],
      detached: true,
    });
    const { pid } = server;
    if (pid === undefined) throw new Error("npm start could not be run.");
    let hasExited = false;
    const exited = new Promise<void>((resolve) => {
      server.on("exit", () => {
        hasExited = true;
        resolve();
      });
    });
    for (const deadline = Date.now() + 60_000; !(await answers(url)); ) {
      if (hasExited || Date.now() > deadline) throw new Error("The example did not start.");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return async (signal: NodeJS.Signals) => {
      if (!hasExited) process.kill(-pid, signal);
      await exited;
      // npm may be gone before the server it has started.
      while (await answers(url)) await new Promise((resolve) => setTimeout(resolve, 50));
    };
  }
}

async function answers(url: string) {
  return fetch(`${url}/favicon.ico`).then(
    ({ ok }) => ok,
    () => false,
  );
}

async function freePort() {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("Found no free port.");
  return address.port;
}

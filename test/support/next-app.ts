import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { answering } from "./answering.ts";
import { freePort } from "./postgres.ts";

export const folder = fileURLToPath(new URL("../../examples/next", import.meta.url));

const { scripts }: { scripts: { start: string } } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));

export type NextApp = Awaited<ReturnType<typeof startNextApp>>;

/**
 * The example, which next-build.ts has built, on a free port of this machine, with a database of its own.
 *
 * @param settings - its environment. Without a key in it, the example's own mock model answers.
 */
export async function startNextApp(settings: Record<string, string> = {}) {
  const dataDir = mkdtempSync(join(tmpdir(), "next-example-"));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const env = {
    ...process.env,
    // Vitest's own is "test".
    NODE_ENV: "production" as const,
    NEXT_TELEMETRY_DISABLED: "1",
    PORT: String(port),
    DATA_DIR: dataDir,
    DATABASE_URL: "",
    OPENAI_API_KEY: "",
    SESSION_SECRET: "",
    ...settings,
  };
  let stopServer = await run();
  return {
    url,
    async restart(signal: "SIGTERM" | "SIGKILL") {
      await stopServer(signal);
      stopServer = await run();
    },
    /**
     * Makes chats of so many messages for this user, by the example's script, and resolves to their paths. The server stops
     * meanwhile: the embedded database is for one process at a time.
     */
    async makeLongChats(userId: string, sizes: number[]) {
      await stopServer("SIGTERM");
      const paths = sizes.map((size) => {
        const args = ["--silent", "run", "long-chat", "--", "--user", userId, "--messages", `${size}`];
        return execFileSync("npm", args, { cwd: folder, env, encoding: "utf8" }).trim();
      });
      stopServer = await run();
      return paths;
    },
    async stop() {
      // Nothing of it is needed any more.
      await stopServer("SIGKILL");
      rmSync(dataDir, { recursive: true, force: true });
    },
  };

  async function run() {
    // What `npm start` runs, without npm, which may be gone before its server is.
    const [command = "", ...args] = scripts.start.split(" ");
    const program = join(folder, "node_modules", ".bin", command);
    const server = spawn(program, args, { cwd: folder, env, stdio: ["ignore", "ignore", "inherit"] });
    const exited = once(server, "exit");
    // Not even a test run that is cut off leaves it behind.
    const kill = () => void server.kill("SIGKILL");
    process.once("exit", kill);
    await answering(`${url}/favicon.ico`, server);
    return async (signal: NodeJS.Signals) => {
      server.kill(signal);
      await exited;
      process.off("exit", kill);
    };
  }
}

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { answering } from "./answering.ts";
import { freePort } from "./postgres.ts";
import { type SeededChat, seedChats } from "./seeded-chats.ts";

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
  let end = await run();
  return {
    url,
    /** Ends the server. Its data stays, and `start` starts it again at the same address. */
    end: (signal: "SIGTERM" | "SIGKILL") => end(signal),
    async start() {
      end = await run();
    },
    async restart(signal: "SIGTERM" | "SIGKILL") {
      await end(signal);
      end = await run();
    },
    /**
     * Stores these chats, and resolves to their paths. The server stops meanwhile: the embedded database is for one process at
     * a time.
     */
    async seed(chats: SeededChat[]) {
      await end("SIGTERM");
      const paths = await seedChats(join(dataDir, "postgres"), chats);
      end = await run();
      return paths;
    },
    async stop() {
      // Nothing of it is needed any more.
      await end("SIGKILL");
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

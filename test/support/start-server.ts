import { spawn } from "node:child_process";
import { once } from "node:events";
import { onTestFinished } from "vitest";
import { answering } from "./answering.ts";
import { onFreePort } from "./postgres.ts";

interface ServerProgram {
  file: string;
  args: string[];
  cwd?: string;
  env?: NodeJS.ProcessEnv;
}

/**
 * Starts a program that listens on a port, for the running test, and resolves to its address when it answers. The
 * program finds the port in PORT, or `program` puts it elsewhere.
 */
export const startServer = (program: (port: number) => ServerProgram | Promise<ServerProgram>): Promise<string> =>
  onFreePort(async (port) => {
    const { file, args, cwd, env } = await program(port);
    const server = spawn(file, args, {
      cwd,
      env: { ...env, PORT: String(port) },
      stdio: ["ignore", "inherit", "inherit"],
    });
    const exited = once(server, "exit");
    onTestFinished(async () => {
      server.kill();
      await exited;
    });
    const url = `http://127.0.0.1:${port}`;
    await answering(url, server);
    return url;
  });

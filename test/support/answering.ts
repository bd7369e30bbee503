import type { ChildProcess } from "node:child_process";

/** Resolves when a server that has just been started answers, and rejects when it ends before. */
export async function answering(url: string, server: ChildProcess): Promise<void> {
  const answers = () =>
    fetch(url).then(
      () => true,
      () => false,
    );
  while (!(await answers())) {
    if (server.exitCode !== null || server.signalCode) throw new Error(`${server.spawnfile} did not start.`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

import type { ChildProcess } from "node:child_process";
import { eventually } from "./eventually.ts";

/** Resolves when a server that has just been started answers, and rejects when it ends before. */
export async function answering(url: string, server: ChildProcess): Promise<void> {
  const hasEnded = () => server.exitCode !== null || server.signalCode !== null;
  const answers = () =>
    fetch(url).then(
      () => true,
      () => false,
    );
  await eventually(`${server.spawnfile} answers`, async () => hasEnded() || (await answers()), { every: 50 });
  if (hasEnded()) throw new Error(`${server.spawnfile} did not start.`);
}

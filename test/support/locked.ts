import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { eventually } from "./eventually.ts";
import { root } from "./pack.ts";

/** Works alone in this checkout: the lock is a file with the id of the process that has it, and falls to others when that is gone. */
export async function withLock(name: string, work: () => Promise<void>): Promise<void> {
  const lock = join(root, ".data", `${name}.lock`);
  await mkdir(join(root, ".data"), { recursive: true });
  const take = () =>
    writeFile(lock, String(process.pid), { flag: "wx" }).then(
      () => true,
      async () => {
        const holder = Number(await readFile(lock, "utf8").catch(() => undefined));
        if (holder && !isRunning(holder)) await rm(lock, { force: true });
        return false;
      },
    );
  await eventually(`${lock} is free`, take, { seconds: 600, every: 100 });
  try {
    await work();
  } finally {
    await rm(lock, { force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

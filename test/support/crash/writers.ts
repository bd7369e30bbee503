import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { eventually } from "../eventually.ts";
import type { Random } from "../random.ts";
import { createJournals } from "./journals.ts";
import type { Defect, Driver, WriterOptions } from "./writer.ts";

/** Processes that save until they are stopped. One that ends by itself is a failure. */
export function startWriters(
  drivers: Driver[],
  { url, random, defect }: { url: string; random: Random; defect?: Defect | undefined },
) {
  const folder = mkdtempSync(join(tmpdir(), "drizzle-chat-store-writers-"));
  const journalOf = (name: string) => join(folder, name);
  const lives = new Map<string, number>();
  const processes = new Map<string, ChildProcess>();
  const names = drivers.map((_, index) => `w${index + 1}`);
  let failure: Error | undefined;
  let endedByDriver = 0;

  function start(name: string, driver: Driver) {
    const life = (lives.get(name) ?? 0) + 1;
    lives.set(name, life);
    const options: WriterOptions = { name, life, url, driver, journal: journalOf(name), seed: random.seed(), defect };
    const writer = fork(fileURLToPath(new URL("writer.ts", import.meta.url)), [JSON.stringify(options)], {
      execArgv: ["--import", "tsx"],
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    processes.set(name, writer);
    let output = "";
    writer.stderr?.on("data", (data) => {
      output += data;
    });
    writer.on("close", (code) => {
      if (code === null) return; // It was killed.
      // postgres.js 3.4 writes to a connection that has gone: https://github.com/porsager/postgres/issues/1208
      if (driver === "postgres.js" && output.includes("at Immediate.nextWrite")) {
        endedByDriver++;
        start(name, driver);
      } else failure ??= new Error(`writer ${name} ended: ${output}`);
    });
  }
  const restart = (name: string) => start(name, drivers[names.indexOf(name)] ?? "node-postgres");
  for (const name of names) restart(name);
  const journals = createJournals(names.map(journalOf));

  async function until(isSo: () => boolean, what: string) {
    const look = () => {
      journals.read();
      return failure !== undefined || isSo();
    };
    await eventually(what, look).catch((cause: unknown) => {
      const counts = `${journals.acknowledgedPerWriter} saves, ${JSON.stringify(Object.fromEntries(journals.retries))}`;
      throw new Error(`stuck: ${what} did not happen; ${counts}`, { cause });
    });
    if (failure) throw failure;
  }

  return {
    journals,
    /** How often a writer was killed by what its driver threw past it. */
    endedByDriver: () => endedByDriver,

    /** Until each of them has had a save acknowledged that is later than now. */
    async recover() {
      journals.read();
      const before = [...journals.acknowledgedPerWriter];
      const isLater = (count: number, index: number) => count > (before[index] ?? 0);
      await until(() => journals.acknowledgedPerWriter.every(isLater), "a save of each writer");
    },

    /** Until one of them has had this reason to retry. */
    async isToldBy(reason: string) {
      const before = journals.retries.get(reason) ?? 0;
      await until(() => (journals.retries.get(reason) ?? 0) > before, `a retry because of ${reason}`);
    },

    /** SIGKILL to one of them, for which another one is started. */
    async killOne() {
      const name = random.pick(names);
      const writer = processes.get(name);
      if (writer?.exitCode === null && writer.kill("SIGKILL")) await once(writer, "exit");
      restart(name);
    },

    async stop() {
      for (const writer of processes.values()) {
        if (writer.exitCode === null && writer.signalCode === null && writer.kill("SIGKILL"))
          await once(writer, "exit");
      }
      journals.close();
      rmSync(folder, { recursive: true });
    },
  };
}

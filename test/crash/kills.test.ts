import { setTimeout as sleep } from "node:timers/promises";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import { migrate } from "../../src/index.ts";
import { createServer } from "../support/crash/server.ts";
import type { Defect, Driver } from "../support/crash/writer.ts";
import { startWriters } from "../support/crash/writers.ts";
import { isLong } from "../support/long-run.ts";
import { seeded } from "../support/seed.ts";

/** Each kind of kill once, or three times and more. */
const crashes = Number(process.env.CRASHES ?? (isLong ? 12 : 4));
const random = seeded();

/** Kills what there is to kill, in turn, at random moments; after each recovery all that was acknowledged must be there. */
async function run(crashes: number, drivers: Driver[], defect?: Defect) {
  const server = await createServer();
  onTestFinished(server.remove);
  await server.start();
  const pool = new pg.Pool({ connectionString: server.url });
  await migrate(drizzle(pool));
  await pool.end();
  const writers = startWriters(drivers, { url: server.url, random: random.fork(), defect });
  onTestFinished(writers.stop);
  const { journals } = writers;

  const kinds = {
    "a writer, SIGKILL": writers.killOne,
    "Postgres, stopped immediately": async () => {
      await server.stopImmediately();
      await server.start();
    },
    "one process of Postgres, SIGKILL": server.killBackend,
    "all of Postgres, SIGKILL": async () => {
      await server.kill();
      await server.start();
    },
  };
  const counts = new Map<string, number>();
  await writers.recover();
  for (let crash = 0; crash < crashes; crash++) {
    const [kind, kill] = Object.entries(kinds)[crash % 4] ?? expect.fail();
    await sleep(20 + random.below(380));
    await kill();
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
    await journals.check(server);
    await writers.recover();
    await journals.check(server);
  }
  return {
    ...Object.fromEntries(counts),
    ...journals.counts,
    retries: Object.fromEntries(journals.retries),
    endedByDriver: writers.endedByDriver(),
  };
}

describe("Writers and Postgres, killed at random moments", () => {
  test(`Postgres holds every acknowledged save, whole, after ${crashes} kills`, async () => {
    const { retries, ...figures } = await run(crashes, [
      "node-postgres",
      "node-postgres",
      "node-postgres",
      "postgres.js",
    ]);
    console.log(JSON.stringify({ ...figures, retries }));
    // Or nobody was saving when it happened.
    expect(Object.values(retries).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(crashes);
  });

  test.each<[Defect, RegExp]>([
    ["acknowledges a save before it is done", /^(lost|back): /],
    ["saves in two transactions", /^torn: /],
  ])("the journals expose a store that %s", async (defect, finding) => {
    const error: unknown = await run(100, ["node-postgres", "node-postgres"], defect).catch(
      (thrown: unknown) => thrown,
    );
    console.log(String(error));
    expect(error).toMatchObject({ message: expect.stringMatching(finding) });
  });
});

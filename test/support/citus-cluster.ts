import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { inject } from "vitest";
import { migrate } from "../../src/index.ts";
import { distributionScript } from "../../src/migrate/migration-script.ts";

let users = 0;
let migrated: Promise<void> | undefined;

/**
 * The one database there is, with the tables as if nobody had used them yet: distributed, if it is Citus. Who opens it while others
 * have it open shares the tables with them.
 */
export async function openCluster(url: string): Promise<{ url: string; drop(): Promise<void> }> {
  users++;
  migrated ??= withClient(url, async (client) => {
    await drop(client);
    await migrate(drizzle({ client }));
    if (inject("isCitus")) await client.query(distributionScript("chat_store"));
  });
  await migrated;
  const release = async () => {
    if (--users > 0) return;
    migrated = undefined;
    await withClient(url, drop);
  };
  return { url, drop: release };
}

async function drop(client: pg.Client) {
  await client.query("do $$ begin execute format('alter database %I reset all', current_database()); end $$");
  const { rows } = await client.query<{ name: string }>(
    "select nspname as name from pg_namespace where nspname !~ '^(pg_|information_schema$|citus|columnar|public$)'",
  );
  for (const { name } of rows) await client.query(`drop schema ${pg.escapeIdentifier(name)} cascade`);
}

/** Who waits for a lock that another transaction has. On Citus they wait on the workers. */
export const waitingForLocks = () =>
  inject("isCitus")
    ? "select from citus_lock_waits"
    : "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and pid <> pg_backend_pid()";

export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** How many tasks Citus makes of a statement, and of what it does before. None of one that only opens or ends a transaction. */
export async function tasksOf(pool: pg.Pool, text: string, values: unknown[]): Promise<string> {
  if (/^(begin|commit|set transaction)/.test(text)) return text.split(" ")[0] ?? "";
  // Not as parameters, with which it explains no insert that selects.
  const literal = (value: unknown) => (value === null ? "null" : pg.escapeLiteral(String(value)));
  const inlined = text.replaceAll(/\$(\d+)/g, (_, place: string) => literal(values[Number(place) - 1]));
  const { rows } = await pool.query<{ "QUERY PLAN": string }>(`explain (costs off) ${inlined}`);
  const plan = rows.map((row) => row["QUERY PLAN"]);
  // What is inserted goes through the coordinator, and from there to the shard of its chat.
  if (plan.some((line) => line.includes("INSERT/SELECT method: pull to coordinator"))) return "1";
  return plan.flatMap((line) => /Task Count: (\d+)/.exec(line)?.[1] ?? []).join("+");
}

/** The Postgres of every worker ends as if a process of it had been killed, which is what happens, and starts again. */
export async function crashWorkers(url: string): Promise<void> {
  const crash = "select run_command_on_workers($$copy (select 1) to program 'kill -9 $PPID'$$)";
  await withClient(url, (client) => client.query(crash)).catch(() => {});
}

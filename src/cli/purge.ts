import { type SQL, sql } from "drizzle-orm";
import { hasExpired } from "../conversation/turn-marks.ts";
import { executeText } from "../database/execute.ts";
import { ChatStoreError } from "../errors.ts";
import { quoteIdentifier } from "../migrate/migrations.ts";
import { chatTables } from "../schema.ts";
import type { ChatDatabase } from "../types.ts";

interface Purged {
  /** The time of their last activity is before this, in ISO 8601. */
  before: string;
  chats: number;
  /** Marks and recordings of turns that have ended, in chats that stay. */
  turns: number;
}

/** Chats that are looked at in one statement, which is one transaction. */
const pageLength = 2_000;

/**
 * Deletes the chats of all users in which nothing was said for so long, and what ended turns have left in the others. What somebody
 * is just using it leaves to the next time. It walks through the chats by id: there is no index on their activity alone.
 */
export async function purge(
  db: ChatDatabase,
  schemaName: string,
  { olderThanDays, dryRun }: { olderThanDays: number; dryRun: boolean },
  report: (soFar: Purged) => void,
): Promise<Purged> {
  const { chats, turns } = chatTables(schemaName);
  const [start] = await executeText<{ before: string; hides: number }>(
    db,
    sql`select to_char((now() - make_interval(days => ${olderThanDays}::int)) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') before,
row_security_active(${`${quoteIdentifier(schemaName)}.chats`}::text)::int hides`,
  );
  if (!start) throw new Error("Postgres did not answer with a row.");
  if (start.hides) {
    throw new ChatStoreError(
      "QUERY_FAILED",
      "Row-level security hides the chats from this role, so nothing was deleted. Expected the tables' owner, or a role with BYPASSRLS.",
    );
  }

  const isOld = sql`chats.updated_at < ${start.before}::timestamptz`;
  // What nobody has come to see yet of a turn whose server died is the only copy of it.
  const isLeft = sql`${hasExpired} and (t.ended_at is not null or t.superseded or t.chunks = 0)`;
  const total: Purged = { before: start.before, chats: 0, turns: 0 };
  let after: string | null = "";
  while (after !== null) {
    const page: SQL = sql`page as materialized (
select chats.id from ${chats} where chats.id > ${after} order by chats.id limit ${pageLength}
), old as (
select chats.id from ${chats} where chats.id in (table page) and ${isOld} ${dryRun ? sql`` : sql`for update skip locked`}
), left_over as (
select t.chat_id, t.id from ${turns} t where t.chat_id in (table page) and t.chat_id not in (table old) and ${isLeft} ${dryRun ? sql`` : sql`for update skip locked`}
)`;
    const remove = sql`, gone as (
delete from ${chats} where chats.id in (table old)
), swept as (
delete from ${turns} t using left_over l where t.chat_id = l.chat_id and t.id = l.id
)`;
    const [result] = await executeText<{ last: string | null; chats: number; turns: number }>(
      db,
      sql`with ${page}${dryRun ? sql`` : remove}
select (select max(id) from page) last, (select count(*) from old)::int chats, (select count(*) from left_over)::int turns`,
    );
    after = result?.last ?? null;
    total.chats += result?.chats ?? 0;
    total.turns += result?.turns ?? 0;
    if (result?.chats) report(total);
  }
  return total;
}

import type { SQL } from "drizzle-orm";
import { hasExpired, isRunning } from "../conversation/turn-liveness.ts";
import { queryUnprepared } from "../database/query.ts";
import { sql } from "../database/sql.ts";
import { ChatStoreError } from "../errors/errors.ts";
import { isRefusal } from "../errors/is-refusal.ts";
import { constraintOf, sqlStateOf } from "../errors/sqlstate.ts";
import { quoteIdentifier } from "../migrate/migrations.ts";
import { chatTables } from "../schema.ts";
import type { ChatDatabase } from "../types.ts";

export interface Purged {
  /** Chats whose last activity is before this time, in ISO 8601, are inactive. */
  before: string;
  /** Deleted chats. */
  chats: number;
  /** Ended turns in other chats, whose rows and recordings were deleted. */
  turns: number;
  /** Inactive chats that were left, because a turn runs in them or another transaction has locked them. */
  inUse: number;
  /** Inactive chats that the database refused to delete. */
  refused: RefusedChat[];
}

interface RefusedChat {
  chatId: string;
  sqlState: string;
  constraint?: string | undefined;
}

interface PurgeOptions {
  /** As {@link readCutoff} gives it. */
  before: string;
  /** Only count what a purge would delete. */
  dryRun: boolean;
}

/** Chats that one statement looks at. Each statement is a transaction of its own. */
const batchSize = 2_000;

/**
 * Deletes the inactive chats of all users, and the remains of ended turns in the other chats. Leaves chats in use to
 * the next purge, and reports chats that the database refuses to delete. Walks through all chats by id, because no
 * index orders the chats of all users by activity.
 */
export async function purgeChats(
  db: ChatDatabase,
  schemaName: string,
  { before, dryRun }: PurgeOptions,
  onProgress: (soFar: Purged) => void,
): Promise<Purged> {
  const total: Purged = { before, chats: 0, turns: 0, inUse: 0, refused: [] };
  for (let after = "", size = batchSize; ; ) {
    try {
      const batch = await purgeBatch(db, schemaName, { after, size, before, dryRun });
      if (batch.last === null) return total;
      // After the last batch the result is printed instead.
      if (total.chats > 0) onProgress(total);
      after = batch.last;
      size = Math.min(size * 2, batchSize);
      total.chats += batch.chats;
      total.turns += batch.turns;
      total.inUse += batch.inUse;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      // A refused batch is halved, down to the chat that is the reason.
      if (size > 1) {
        size = Math.floor(size / 2);
        continue;
      }
      const chatId = await readNextId(db, schemaName, after);
      if (chatId === null) return total;
      total.refused.push({ chatId, sqlState: sqlStateOf(error) ?? "unknown", constraint: constraintOf(error) });
      after = chatId;
    }
  }
}

/** The time before which a chat is inactive, in ISO 8601, by the clock of the database. */
export async function readCutoff(db: ChatDatabase, schemaName: string, olderThanDays: number): Promise<string> {
  const cutoff = sql`now() - make_interval(days => ${olderThanDays}::int)`;
  const [found] = await queryUnprepared<{ before: string; hides: number }>(
    db,
    sql`
      select
        to_char((${cutoff}) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as before,
        row_security_active(${`${quoteIdentifier(schemaName)}.chats`}::text)::int as hides`,
  );
  if (!found) throw new Error("Postgres did not answer with a row.");
  if (found.hides) {
    throw new ChatStoreError(
      "QUERY_FAILED",
      "Row-level security hides the chats from this role, so nothing was deleted. " +
        "Expected the tables' owner, or a role with BYPASSRLS.",
    );
  }
  return found.before;
}

interface Batch extends Pick<Purged, "chats" | "turns" | "inUse"> {
  /** The id of its last chat; null if there are no more. */
  last: string | null;
}

/** Purges the first `size` chats whose id is greater than `after`. */
async function purgeBatch(
  db: ChatDatabase,
  schemaName: string,
  { after, size, before, dryRun }: { after: string; size: number; before: string; dryRun: boolean },
): Promise<Batch> {
  const { chats, turns } = chatTables(schemaName);
  const skipLocked = (table: SQL) => (dryRun ? sql`` : sql`for update of ${table} skip locked`);
  // The recording of an answer that no client has seen yet, because its server died, is the only copy of that answer.
  const isOfNoMoreUse = sql`${hasExpired} and (t.ended_at is not null or t.superseded or t.chunks = 0)`;

  // A turn that starts meanwhile is not in the statement's snapshot, but gives the chat's row another xmin.
  const purgeable = sql`
    batch as materialized (
      select chats.id, chats.xmin as row_version
      from ${chats}
      where chats.id > ${after}
      order by chats.id
      limit ${size}
    ),
    inactive_chats as materialized (
      select
        chats.id,
        batch.row_version,
        exists (select from ${turns} t where t.chat_id = chats.id and ${isRunning}) as has_running_turn
      from ${chats}
      join batch on batch.id = chats.id
      where chats.updated_at < ${before}::timestamptz
    ),
    purgeable_chats as materialized (
      select chats.id
      from ${chats}
      join inactive_chats on inactive_chats.id = chats.id
      where not has_running_turn and chats.xmin = inactive_chats.row_version
      ${skipLocked(sql`chats`)}
    ),
    purgeable_turns as materialized (
      select t.chat_id, t.id
      from ${turns} t
      where
        t.chat_id in (select id from batch)
        and t.chat_id not in (table purgeable_chats)
        and ${isOfNoMoreUse}
      ${skipLocked(sql`t`)}
    )`;
  const andDelete = dryRun
    ? sql``
    : sql`,
      deleted_chats as (
        delete from ${chats}
        where chats.id in (table purgeable_chats)
      ),
      deleted_turns as (
        delete from ${turns} t
        using purgeable_turns p
        where t.chat_id = p.chat_id and t.id = p.id
      )`;
  const [batch] = await queryUnprepared<Batch>(
    db,
    sql`
      with ${purgeable}${andDelete}
      select
        (select max(id) from batch) as last,
        (select count(*) from purgeable_chats)::int as chats,
        (select count(*) from purgeable_turns)::int as turns,
        ((select count(*) from inactive_chats) - (select count(*) from purgeable_chats))::int as "inUse"`,
  );
  return batch ?? { last: null, chats: 0, turns: 0, inUse: 0 };
}

async function readNextId(db: ChatDatabase, schemaName: string, after: string): Promise<string | null> {
  const { chats } = chatTables(schemaName);
  const [next] = await queryUnprepared<{ id: string }>(
    db,
    sql`
      select chats.id
      from ${chats}
      where chats.id > ${after}
      order by chats.id
      limit 1`,
  );
  return next?.id ?? null;
}

import { sql } from "drizzle-orm";

/**
 * For how long the mark `t` of a turn is kept: a minute after the turn has ended, for readers that are behind and for a writer that was
 * only slow; a few seconds after it was superseded; and a day if nobody ever ends it, which blocks nothing.
 */
export const hasExpired = sql.raw(
  "(t.ended_at is not null and t.ended_at < now() - interval '60 seconds' or t.superseded and t.beat_at < now() - interval '10 seconds' or t.started_at < now() - interval '1 day')",
);

/**
 * Whether the turn of the mark `t` runs, so that its chat may not be purged. A recorded turn gives a sign of life every second. Of one that is
 * not recorded nothing is heard until it ends, however long its handler takes: it counts as running for as long as its mark is kept.
 */
export const isRunning = sql.raw(
  "(t.ended_at is null and not t.superseded and t.started_at > now() - interval '1 day' and (t.chunks = 0 or t.beat_at > now() - interval '10 minutes'))",
);

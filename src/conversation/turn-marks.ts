import { sql } from "drizzle-orm";

/**
 * For how long the mark `t` of a turn is kept: a minute after the turn has ended, for readers that are behind; a few seconds after it was
 * superseded; and a day otherwise. A turn that was taken for dead, and lives, may take that long to end.
 */
export const hasExpired = sql.raw(
  "(t.ended_at is not null and not t.interrupted and t.ended_at < now() - interval '60s' or t.superseded and t.beat_at < now() - interval '10s' or t.started_at < now() - interval '1d')",
);

/** The writer of the turn `t` may still store its answer, also if the turn was taken for dead. */
const unended = "((t.ended_at is null or t.interrupted) and not t.superseded)";
export const mayStillEnd = sql.raw(unended);

/**
 * The process of the turn `t` must be gone. A recorded turn writes a heartbeat every second, ten of which are missing. Of one that is
 * not recorded, or not yet, there is none: it gets as long as a route may take, because a wrong guess runs an approved tool twice.
 */
export const isDead = sql.raw(
  "(t.interrupted or case when t.chunks > 0 then t.beat_at < now() - interval '10s' else t.started_at < now() - interval '5min' end)",
);

/**
 * The turn `t` may be running, so that its chat is not purged. Ten minutes without a heartbeat are more than an outage of the database. A turn
 * that is not recorded has no heartbeat, and counts as running for as long as its mark is kept.
 */
export const isRunning = sql.raw(
  `(${unended} and t.started_at > now() - interval '1d' and (t.chunks = 0 or t.beat_at > now() - interval '10min'))`,
);

import { sql } from "../database/sql.ts";

// When a turn is running, stale, interrupted or expired. All durations of turns are decided here; `t` is a row of
// `turns`.

/** Milliseconds between the heartbeats of a recorded turn. */
export const heartbeatInterval = 1_000;

/** A recorded turn without a heartbeat for this long counts as dead: ten heartbeats are missing. */
const staleAfter = "10s";

/**
 * A turn that is not recorded, or not yet, sends no heartbeat. It counts as dead after the longest time that a route
 * may take, because declaring it dead too early would run an approved tool twice.
 */
const unrecordedTimeout = "5min";

/** A turn that starts sends its first heartbeat when its stream begins. Its route may look things up before. */
export const firstHeartbeatWithin = sql.raw("interval '20 seconds'");

/**
 * How long the row of a turn that ended is kept, for readers that are behind, and in milliseconds when it is deleted.
 */
const keptAfterEnd = "60s";
export const deletedAfterEnd = 61_000;

/**
 * A turn without a heartbeat for this long, which is longer than an outage of the database, does not keep its chat from
 * being purged.
 */
const goneAfter = "10min";

/** A turn that was declared dead and lives may take this long to end. */
const longestTurn = "1d";

/** The row of the turn is of no more use. */
export const hasExpired = sql.raw(
  "(t.ended_at is not null and not t.interrupted and t.ended_at < now() - " +
    `interval '${keptAfterEnd}' or t.superseded and t.beat_at < now() - interval '${staleAfter}' ` +
    `or t.started_at < now() - interval '${longestTurn}')`,
);

/** The turn has ended by itself, and readers have had the time to read its end. */
export const hasEndedLongAgo = sql.raw(`(not t.interrupted and t.ended_at < now() - interval '${keptAfterEnd}')`);

const isUnended = "((t.ended_at is null or t.interrupted) and not t.superseded)";

/** The turn may still store its answer, even if it was declared dead. */
export const mayStillEnd = sql.raw(isUnended);

/** The turn is recorded, has not ended and has sent no heartbeat lately. */
export const isStale = sql.raw(`(t.ended_at is null and t.beat_at < now() - interval '${staleAfter}')`);

/** The turn's process must be gone. */
export const isDead = sql.raw(
  `(t.interrupted or case when t.chunks > 0 then t.beat_at < now() - interval '${staleAfter}' ` +
    `else t.started_at < now() - interval '${unrecordedTimeout}' end)`,
);

/** The turn is dead, and its recording is not its answer yet. */
export const isRecoverable = sql.raw(
  `(t.ended_at is null and not t.superseded and t.chunks > 0 and t.beat_at < now() - interval '${staleAfter}')`,
);

/** The turn may be running, so that its chat must not be purged. */
export const isRunning = sql.raw(
  `(${isUnended} and t.started_at > now() - interval '${longestTurn}' ` +
    `and (t.chunks = 0 or t.beat_at > now() - interval '${goneAfter}'))`,
);

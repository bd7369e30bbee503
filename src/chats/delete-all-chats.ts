import type { SQL } from "drizzle-orm";
import type { Context } from "../database/context.ts";
import { query, write } from "../database/query.ts";
import { retryOnConflict } from "../database/retry-on-conflict.ts";
import { asUser } from "../database/row-level-security.ts";
import { sql } from "../database/sql.ts";
import { inTransaction, isTransaction } from "../database/transaction.ts";
import { ChatStoreError } from "../errors/errors.ts";
import { isRefusal } from "../errors/is-refusal.ts";
import { sqlStateOf } from "../errors/sqlstate.ts";
import type { Parsed, userInput } from "../input.ts";
import { ownedBy } from "../schema.ts";

/**
 * Chats that are deleted at once. Small, so that no writer waits long, and so that an interrupted call has deleted
 * some.
 */
const batchSize = 100;

/**
 * After so many rounds that found chats and deleted none, no other writer deletes them either: a trigger keeps them,
 * for example.
 */
const maxIdleRounds = 50;

/**
 * Goes in rounds over all chats of the user until a round finds none, because other writers may create chats meanwhile.
 * If the database refuses to delete a chat, as for a foreign key of the application's, the other chats are deleted all
 * the same.
 *
 * @throws {ChatStoreError} some chats could not be deleted.
 */
export async function deleteAllChats(context: Context, { userId }: Parsed<typeof userInput>): Promise<number> {
  const { chats } = context.tables;
  const isOwned = ownedBy(chats, userId);
  let total = 0;
  let refusal: unknown;

  for (let idleRounds = 0; idleRounds < maxIdleRounds; ) {
    refusal = undefined;
    const { found, deleted } = await deleteRound();
    total += deleted;
    if (found === 0) return total;
    if (refusal && deleted === 0) break;
    idleRounds = deleted > 0 ? 0 : idleRounds + 1;
  }
  const left = await asOwner(countLeft);
  if (left === 0) return total;
  const state = sqlStateOf(refusal);
  throw new ChatStoreError(
    "QUERY_FAILED",
    `deleteAllChats has deleted ${total} of this user's chats. The database refused to delete ${left} others` +
      `${state ? `, the last of them with SQLSTATE ${state}` : ""}. The cause names the constraint, if one refused: ` +
      "let rows that refer to a chat go with it (`on delete cascade` or `set null`), and call deleteAllChats again.",
    { cause: refusal },
  );

  /**
   * Deletes from the oldest chat on, batch by batch. A batch that is refused is halved, down to the chat that is the
   * reason.
   */
  async function deleteRound(): Promise<{ found: number; deleted: number }> {
    const round = { found: 0, deleted: 0 };
    const refusedIds = new Set<string>();
    let cursor: Cursor | undefined;
    for (let size = batchSize; ; ) {
      try {
        const { found, deleted, last } = await asOwner((context) =>
          retryOnConflict(context, () =>
            context.settings.portable
              ? deleteInStatements(context, batchAfter(cursor, size))
              : deleteInOneStatement(context, batchAfter(cursor, size)),
          ),
        );
        round.found += found;
        round.deleted += deleted;
        if (!last || found < size) return round;
        cursor = last;
        size = Math.min(size * 2, batchSize);
      } catch (error) {
        if (!isRefusal(error)) throw error;
        refusal = error;
        if (size > 1) {
          size = Math.floor(size / 2);
          continue;
        }
        const { found, last } = await asOwner((context) => readBatch(context, batchAfter(cursor, 1)));
        round.found += found;
        // A chat that is saved again and again comes again and again.
        if (!last || refusedIds.has(last.id)) return round;
        refusedIds.add(last.id);
        cursor = last;
      }
    }
  }

  /**
   * A batch is a transaction or, in a transaction of the caller's, a savepoint, so that a refusal does not abort that.
   */
  function asOwner<T>(work: (context: Context) => Promise<T>): Promise<T> {
    return isTransaction(context) && !context.settings.rowLevelSecurity
      ? inTransaction(context, work, () => work(context))
      : asUser(context, { userId }, work);
  }

  /**
   * Uses the index that lists a user's chats. In the order of ids, Postgres would walk through the chats of all users.
   */
  function batchAfter(cursor: Cursor | undefined, size: number): SQL {
    const andAfter = cursor
      ? sql`and (chats.updated_at, chats.id) > (${cursor.updatedAt}::timestamptz, ${cursor.id}::text)`
      : sql``;
    return sql`
      ${chats}
      where ${isOwned} ${andAfter}
      order by chats.updated_at, chats.id
      limit ${size}`;
  }

  async function deleteInOneStatement(context: Context, batch: SQL): Promise<Deletion> {
    const [outcome] = await query<{ found: number; deleted: number; last: string | null }>(context, {
      ctes: {
        batch: sql`select chats.id, chats.updated_at from ${batch}`,
        // Locks in the order of ids, as claimChats does, too: otherwise two calls could deadlock. Arrays make Postgres
        // look up each id; for a join it might read all chats of the user.
        deleted_chats: sql`
          delete from ${chats}
          where chats.id = any(array(
            select chats.id
            from ${chats}
            where chats.id = any(array(select id from batch)) and ${isOwned}
            order by chats.id
            for update
          ))
          returning 1`,
        outcome: sql`
          select
            (select count(*) from batch)::int as found,
            (select count(*) from deleted_chats)::int as deleted,
            (
              select json_build_array(id, updated_at)::text
              from batch
              order by updated_at desc, id desc
              limit 1
            ) as last`,
      },
      columns: ["found", "deleted", "last"],
      from: sql`outcome`,
    });
    return { found: 0, deleted: 0, ...outcome, last: parseCursor(outcome?.last) };
  }

  /** Shards have no order of locks: the loser of a deadlock tries again. */
  async function deleteInStatements(context: Context, batch: SQL): Promise<Deletion> {
    const { found, last } = await readBatch(context, batch);
    if (found === 0) return { found, deleted: 0, last };
    const deleteChats = sql`
      delete from ${chats}
      where ${isOwned} and chats.id in (select chats.id from ${batch})
      returning 1 as deleted`;
    return { found, deleted: (await write(context, deleteChats, "deleted")).length, last };
  }

  async function readBatch(context: Context, batch: SQL): Promise<Omit<Deletion, "deleted">> {
    const rows = await query<{ cursor: string }>(context, {
      columns: { cursor: sql`json_build_array(chats.id, chats.updated_at)::text` },
      from: batch,
    });
    return { found: rows.length, last: parseCursor(rows.at(-1)?.cursor) };
  }

  async function countLeft(context: Context): Promise<number> {
    const [row] = await query<{ count: number }>(context, {
      columns: { count: sql`count(*)::int` },
      from: sql`${chats} where ${isOwned}`,
    });
    return row?.count ?? 0;
  }
}

/** A chat's place in the list. JSON writes its time in one way, whatever the settings of the session. */
interface Cursor {
  id: string;
  updatedAt: string;
}

interface Deletion {
  found: number;
  deleted: number;
  /** The last chat that was found. */
  last: Cursor | undefined;
}

function parseCursor(json: string | null | undefined): Cursor | undefined {
  if (!json) return undefined;
  const [id, updatedAt]: [string, string] = JSON.parse(json);
  return { id, updatedAt };
}

import { type SQL, sql } from "drizzle-orm";
import { execute, executeChange } from "../database/execute.ts";
import { isRefusal } from "../database/is-refusal.ts";
import { retryOvertaken } from "../database/retry-overtaken.ts";
import { asUser } from "../database/row-level-security.ts";
import { sqlStateOf } from "../database/sqlstate.ts";
import { columnsNamed } from "../database/statement.ts";
import { inTransaction, isTransaction } from "../database/transaction.ts";
import { ChatStoreError } from "../errors.ts";
import { deleteAllChatsInput, parseInput } from "../input.ts";
import { type ChatTables, ownedBy } from "../schema.ts";
import type { ChatDatabase, DeleteAllChatsInput, StoreSettings } from "../types.ts";

/** Chats that go at once: no writer waits long for the lock of one of them, and what is interrupted goes on from there. */
const batch = 100;

/** After so many rounds in which chats were found and none was deleted, others do not delete them either: a trigger keeps them, say. */
const maxIdleRounds = 50;

/**
 * In rounds over all chats of the user, until one finds none: other writers may create chats meanwhile. A chat that the database does not
 * let go, as one that a table of the application's refers to, does not keep the others.
 *
 * @throws {ChatStoreError} not all could be deleted.
 */
export async function deleteAllChats(
  db: ChatDatabase,
  { chats }: ChatTables,
  input: DeleteAllChatsInput,
  settings: StoreSettings,
): Promise<number> {
  const { userId } = parseInput(deleteAllChatsInput, input);
  const owned = ownedBy(chats, userId);
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
    `deleteAllChats has deleted ${total} of this user's chats, and ${left} are left that the database did not let go` +
      `${state ? `, the last of them with SQLSTATE ${state}` : ""}. The cause names the constraint if it was one: let what refers to a chat go with it ` +
      "(`on delete cascade` or `set null`), and call deleteAllChats again.",
    { cause: refusal },
  );

  /** Through the chats from the oldest on, batch by batch. Of a batch that is refused, smaller ones, down to the chat that is the reason. */
  async function deleteRound(): Promise<{ found: number; deleted: number }> {
    const round = { found: 0, deleted: 0 };
    const kept = new Set<string>();
    let place: Place | undefined;
    for (let size = batch; ; ) {
      try {
        const { found, deleted, last } = await asOwner((db) =>
          retryOvertaken(db, () =>
            (settings.portable ? removePortably : removeInOneStatement)(db, pageOf(place, size)),
          ),
        );
        round.found += found;
        round.deleted += deleted;
        if (!last || found < size) return round;
        place = last;
        size = Math.min(size * 2, batch);
      } catch (error) {
        if (!isRefusal(error)) throw error;
        refusal = error;
        if (size > 1) {
          size = Math.floor(size / 2);
          continue;
        }
        const next = await asOwner((db) => readPage(db, pageOf(place, 1)));
        round.found += next.found;
        // One that is saved all the time comes again and again.
        if (!next.last || kept.has(next.last.id)) return round;
        kept.add(next.last.id);
        place = next.last;
      }
    }
  }

  /** A batch is a transaction or, in one of the caller's, a savepoint: what is refused must not lose that. */
  function asOwner<T>(work: (db: ChatDatabase) => Promise<T>): Promise<T> {
    if (isTransaction(db) && !settings.rowLevelSecurity) return inTransaction(db, work, () => work(db));
    return asUser(db, { userId }, settings, work);
  }

  /** By the index that lists a user's chats. In the order of ids, Postgres would walk through the chats of all users. */
  function pageOf(place: Place | undefined, size: number): Page {
    const after = place
      ? sql` and (chats.updated_at, chats.id) > (${place.at}::timestamptz, ${place.id}::text)`
      : sql``;
    return { size, from: sql`${chats} where ${owned}${after} order by chats.updated_at, chats.id limit ${size}` };
  }

  async function removeInOneStatement(db: ChatDatabase, { from }: Page): Promise<Removed> {
    const [result] = await execute<{ found: number; deleted: number; last: string | null }>(db, {
      with: {
        page: sql`select chats.id, chats.updated_at at from ${from}`,
        // In one order, which claimChats has as well: else each of two calls could wait for what the other has locked. As arrays,
        // which are looked up one by one: a join might read all chats of the user for each batch.
        removed: sql`delete from ${chats} where chats.id = any(array(
select chats.id from ${chats} where chats.id = any(array(select id from page)) and ${owned} order by chats.id for update)) returning 1`,
        seen: sql`select (select count(*) from page)::int found, (select count(*) from removed)::int deleted,
(select json_build_array(id, at)::text from page order by at desc, id desc limit 1) last`,
      },
      select: columnsNamed("found", "deleted", "last"),
      from: sql`seen`,
    });
    return { found: 0, deleted: 0, ...result, last: placeIn(result?.last) };
  }

  /** Over shards there is no order of locks: who loses a deadlock tries again. */
  async function removePortably(db: ChatDatabase, page: Page): Promise<Removed> {
    const { found, last } = await readPage(db, page);
    if (found === 0) return { found, deleted: 0, last };
    const remove = sql`delete from ${chats} where ${owned} and chats.id in (select chats.id from ${page.from}) returning 1 deleted`;
    return { found, deleted: (await executeChange(db, remove, "deleted")).length, last };
  }

  async function readPage(db: ChatDatabase, { from }: Page): Promise<Omit<Removed, "deleted">> {
    const places = await execute<{ place: string }>(db, {
      select: { place: sql`json_build_array(chats.id, chats.updated_at)::text` },
      from,
    });
    return { found: places.length, last: placeIn(places.at(-1)?.place) };
  }

  async function countLeft(db: ChatDatabase): Promise<number> {
    const [counted] = await execute<{ count: number }>(db, {
      select: { count: sql`count(*)::int` },
      from: sql`${chats} where ${owned}`,
    });
    return counted?.count ?? 0;
  }
}

/** Where a chat is among the user's. JSON writes its time in one way, which the settings of a session do not concern. */
interface Place {
  id: string;
  at: string;
}

interface Page {
  size: number;
  /** What follows the `from` of a statement that reads the chats of the page. */
  from: SQL;
}

interface Removed {
  found: number;
  deleted: number;
  /** The last of those that were found. */
  last: Place | undefined;
}

function placeIn(json: string | null | undefined): Place | undefined {
  if (!json) return undefined;
  const [id, at]: [string, string] = JSON.parse(json);
  return { id, at };
}

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
import { counted } from "./counted.ts";

export interface Purged {
  /** The time of their last activity is before this, in ISO 8601. */
  before: string;
  chats: number;
  /** Marks and recordings of turns that have ended, in chats that stay. */
  turns: number;
  /** Chats that are old enough and were left: a turn runs in them, or another transaction has locked them. */
  inUse: number;
  /** Chats that the database did not let go. */
  refused: RefusedChat[];
}

interface RefusedChat {
  chatId: string;
  sqlState: string;
  constraint?: string | undefined;
}

/** Chats that are looked at in one statement, which is one transaction. */
const pageLength = 2_000;

/**
 * Deletes the chats of all users without activity for so long, and what ended turns have left in the others. What is in use it leaves to
 * the next time, and what the database does not let go it reports. It walks through the chats by id: there is no index on their activity alone.
 */
export async function purge(
  db: ChatDatabase,
  schemaName: string,
  { olderThanDays, dryRun }: { olderThanDays: number; dryRun: boolean },
  report: (soFar: Purged) => void,
): Promise<Purged> {
  const { chats, turns } = chatTables(schemaName);
  const [start] = await queryUnprepared<{ before: string; hides: number }>(
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
  // What was recorded of an answer that no client has seen yet, because its server died, is the only copy of it.
  const isLeft = sql`${hasExpired} and (t.ended_at is not null or t.superseded or t.chunks = 0)`;
  const total: Purged = { before: start.before, chats: 0, turns: 0, inUse: 0, refused: [] };
  for (let after = "", length = pageLength; ; ) {
    try {
      const page = await purgePage(after, length);
      if (page.last === null) return total;
      after = page.last;
      length = Math.min(length * 2, pageLength);
      total.chats += page.chats;
      total.turns += page.turns;
      total.inUse += page.inUse;
      if (page.chats) report(total);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      // Less at once, down to the chat that is the reason.
      if (length > 1) {
        length = Math.floor(length / 2);
        continue;
      }
      const chatId = await nextAfter(after);
      if (chatId === null) return total;
      total.refused.push({ chatId, sqlState: sqlStateOf(error) ?? "unknown", constraint: constraintOf(error) });
      after = chatId;
    }
  }

  async function purgePage(after: string, length: number): Promise<Page> {
    const lock = (of: SQL) => (dryRun ? sql`` : sql` for update of ${of} skip locked`);
    // A turn that starts meanwhile is not in the statement's snapshot. It makes the chat's row another one, which has another xmin.
    const found = sql`page as materialized (
select chats.id, chats.xmin v from ${chats} where chats.id > ${after} order by chats.id limit ${length}
), candidates as materialized (
select chats.id, page.v, exists (select from ${turns} t where t.chat_id = chats.id and ${isRunning}) busy
from ${chats} join page on page.id = chats.id where ${isOld}
), old as materialized (
select chats.id from ${chats} join candidates on candidates.id = chats.id where not busy and chats.xmin = candidates.v${lock(sql`chats`)}
), left_over as materialized (
select t.chat_id, t.id from ${turns} t where t.chat_id in (select id from page) and t.chat_id not in (table old) and ${isLeft}${lock(sql`t`)}
)`;
    const remove = sql`, gone as (
delete from ${chats} where chats.id in (table old)
), swept as (
delete from ${turns} t using left_over l where t.chat_id = l.chat_id and t.id = l.id
)`;
    const [page] = await queryUnprepared<Page>(
      db,
      sql`with ${found}${dryRun ? sql`` : remove}
select (select max(id) from page) last, (select count(*) from old)::int chats, (select count(*) from left_over)::int turns,
((select count(*) from candidates) - (select count(*) from old))::int "inUse"`,
    );
    return page ?? { last: null, chats: 0, turns: 0, inUse: 0 };
  }

  async function nextAfter(after: string): Promise<string | null> {
    const [next] = await queryUnprepared<{ id: string }>(
      db,
      sql`select chats.id from ${chats} where chats.id > ${after} order by chats.id limit 1`,
    );
    return next?.id ?? null;
  }
}

interface Page extends Pick<Purged, "chats" | "turns" | "inUse"> {
  /** The id of its last chat; null if there are no more. */
  last: string | null;
}

const maxLines = 20;

export function describePurge({ chats, turns, before, inUse, refused }: Purged, dryRun: boolean): string {
  const lines = [
    `${dryRun ? "Would delete" : "Deleted"} ${counted(chats, "chat")} without activity since ${before}, and what is left of ${counted(turns, "ended turn")}.`,
  ];
  if (inUse > 0)
    lines.push(`Left ${counted(inUse, "chat")} in use: a turn runs there, or another transaction has locked it.`);
  if (refused.length > 0) {
    lines.push(`Could not delete ${counted(refused.length, "chat")}, which the database did not let go:`);
    for (const { chatId, sqlState, constraint } of refused.slice(0, maxLines)) {
      lines.push(
        `  ${inAscii(chatId)}: SQLSTATE ${sqlState}${constraint === undefined ? "" : `, constraint ${inAscii(constraint)}`}`,
      );
    }
    if (refused.length > maxLines) lines.push(`  and ${refused.length - maxLines} more, which --json lists`);
  }
  return lines.join("\n");
}

/** Ids come from browsers, and a terminal does as it is told by control characters. */
const inAscii = (text: string) =>
  JSON.stringify(text).replaceAll(
    /[^ -~]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );

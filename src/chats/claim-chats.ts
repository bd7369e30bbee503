import { type SQL, sql } from "drizzle-orm";
import { mayStillEnd } from "../conversation/turn-marks.ts";
import { execute, executeChange } from "../database/execute.ts";
import { retryOvertaken } from "../database/retry-overtaken.ts";
import { asUser } from "../database/row-level-security.ts";
import { sqlStateOf } from "../database/sqlstate.ts";
import { columnsNamed } from "../database/statement.ts";
import { inTransaction } from "../database/transaction.ts";
import { ChatStoreError } from "../errors.ts";
import { claimChatsInput, parseInput } from "../input.ts";
import { type ChatTables, ownedBy, turnToken } from "../schema.ts";
import type { ChatDatabase, ClaimChatsInput, StoreSettings } from "../types.ts";

/**
 * Each chat keeps tokens of the turns that run in it, by which these go on for the new owner. The statements run in the name of the
 * user who gives the chats away: the policies let these go to the claimant.
 */
export async function claimChats(
  db: ChatDatabase,
  tables: ChatTables,
  input: ClaimChatsInput,
  settings: StoreSettings,
): Promise<number> {
  const { fromUserId, userId } = parseInput(claimChatsInput, input);
  if (fromUserId === userId) return 0;
  const { chats, turns } = tables;
  const owned = ownedBy(chats, fromUserId);
  let total = 0;
  try {
    return await asUser(db, { userId: fromUserId, claimantId: userId }, settings, (db) =>
      retryOvertaken(db, async () => {
        const found = await (settings.portable ? claimOneByOne(db) : claimInOneStatement(db));
        total += found.claimed;
        return found.claimed === found.seen ? total : undefined;
      }),
    );
  } catch (cause) {
    if (!settings.rowLevelSecurity || sqlStateOf(cause) !== insufficientPrivilege) throw cause;
    throw new ChatStoreError(
      "QUERY_FAILED",
      "claimChats was refused by row-level security, so nothing was changed. Expected the policies that let chats be claimed, " +
        "which drizzle-chat-store has since 0.2: run what `npx drizzle-chat-store sql --rls` prints as the tables' owner. " +
        "Policies of your own have to let a chat go from its owner to whom it names.",
      { cause },
    );
  }

  /**
   * Claims each chat only if it is still as the snapshot has it (`xmin`). Another chat, which this statement had to wait for, may
   * have got a turn meanwhile that the snapshot does not see: the next attempt claims it.
   */
  async function claimInOneStatement(db: ChatDatabase): Promise<Claimed> {
    const [found = { claimed: 0, seen: 0 }] = await execute<Claimed>(db, {
      with: {
        seen: sql`select chats.id, chats.xmin v from ${chats} where ${owned}`,
        // In the order in which deleteAllChats locks them, or each could wait for what the other has.
        locked: sql`select chats.id from ${chats} where ${owned} order by chats.id for update`,
        claimed: sql`update ${chats} set user_id = ${userId}, claimed_from = ${tokens(sql`seen.id`)} from seen, locked
where chats.id = seen.id and chats.id = locked.id and chats.xmin = seen.v and ${owned} returning 1`,
        found: sql`select (select count(*) from claimed)::int claimed, (select count(*) from seen)::int seen`,
      },
      select: columnsNamed("claimed", "seen"),
      from: sql`found`,
    });
    return found;
  }

  /** Over shards there is no order of locks, and no snapshot: each chat is locked before its turns are read. */
  async function claimOneByOne(db: ChatDatabase): Promise<Claimed> {
    return inTransaction(db, async (db): Promise<Claimed> => {
      const seen = await execute<{ id: string }>(db, {
        select: { id: sql`chats.id` },
        from: sql`${chats} where ${owned}`,
      });
      let claimed = 0;
      for (const { id } of seen) {
        const chosen = sql`chats.id = ${id} and ${owned}`;
        await execute(db, { select: { locked: sql`1` }, from: sql`${chats} where ${chosen} for update` });
        const [running] = await execute<{ tokens: string | null }>(db, {
          with: { running: sql`select ${tokens(sql`${id}`)} tokens from ${chats} where ${chosen}` },
          select: columnsNamed("tokens"),
          from: sql`running`,
        });
        const claim = sql`update ${chats} set user_id = ${userId}, claimed_from = ${running?.tokens ?? null} where ${chosen} returning 1 claimed`;
        claimed += (await executeChange(db, claim, "claimed")).length;
      }
      return { claimed, seen: seen.length };
    });
  }

  /** Of the turns that run in the chat. Those that an earlier owner began have theirs already. */
  function tokens(chatId: SQL): SQL {
    return sql`(select coalesce(chats.claimed_from || ' ', '') || tokens from (
select string_agg(${turnToken(sql`t.id`, fromUserId)}, ' ') tokens from ${turns} t where t.chat_id = ${chatId} and ${mayStillEnd}) running)`;
  }
}

interface Claimed {
  claimed: number;
  /** How many there were to claim. */
  seen: number;
}

const insufficientPrivilege = "42501";

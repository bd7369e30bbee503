import type { SQL } from "drizzle-orm";
import { mayStillEnd } from "../conversation/turn-liveness.ts";
import type { Context } from "../database/context.ts";
import { query, write } from "../database/query.ts";
import { retryOnConflict, writeConflict } from "../database/retry-on-conflict.ts";
import { asUser } from "../database/row-level-security.ts";
import { sql } from "../database/sql.ts";
import { inTransaction } from "../database/transaction.ts";
import { ChatStoreError } from "../errors/errors.ts";
import { sqlState, sqlStateOf } from "../errors/sqlstate.ts";
import type { claimChatsInput, Parsed } from "../input.ts";
import { ownedBy, turnToken } from "../schema.ts";

/**
 * Each chat keeps tokens of the turns that run in it, which let them store their answers for the new owner. The
 * statements run as the user who gives the chats away: the policies allow a chat to go from its owner to the claimant.
 */
export async function claimChats(
  context: Context,
  { fromUserId, userId }: Parsed<typeof claimChatsInput>,
): Promise<number> {
  if (fromUserId === userId) return 0;
  const { chats, turns } = context.tables;
  const { portable, rowLevelSecurity } = context.settings;
  const isOwned = ownedBy(chats, fromUserId);
  let total = 0;
  try {
    return await asUser(context, { userId: fromUserId, claimantId: userId }, (context) =>
      retryOnConflict(context, async () => {
        const { found, claimed } = await (portable ? claimOneByOne(context) : claimInOneStatement(context));
        total += claimed;
        return claimed === found ? total : writeConflict;
      }),
    );
  } catch (cause) {
    if (!rowLevelSecurity || sqlStateOf(cause) !== sqlState.insufficientPrivilege) throw cause;
    throw new ChatStoreError(
      "QUERY_FAILED",
      "claimChats was refused by row-level security, so nothing was changed. Expected the policies that let chats be " +
        "claimed, which drizzle-chat-store has since 0.2: run what `npx drizzle-chat-store sql --rls` prints as the " +
        "tables' owner. Policies of your own have to let a chat go from its owner to the claimant.",
      { cause },
    );
  }

  /**
   * Claims a chat only in the row version of the statement's snapshot. While the statement waits for one chat, a turn
   * may start in another, and the snapshot does not see that turn: the next attempt claims such a chat.
   */
  async function claimInOneStatement(context: Context): Promise<Claim> {
    const [claim = { found: 0, claimed: 0 }] = await query<Claim>(context, {
      ctes: {
        found_chats: sql`select chats.id, chats.xmin as row_version from ${chats} where ${isOwned}`,
        // Locks in the order in which deleteAllChats does, too. Otherwise the two could deadlock.
        locked_chats: sql`select chats.id from ${chats} where ${isOwned} order by chats.id for update`,
        claimed_chats: sql`
          update ${chats}
          set user_id = ${userId}, claimed_from = ${tokensOf(sql`found_chats.id`)}
          from found_chats, locked_chats
          where
            chats.id = found_chats.id
            and chats.id = locked_chats.id
            and chats.xmin = found_chats.row_version
            and ${isOwned}
          returning 1`,
        claim: sql`
          select
            (select count(*) from found_chats)::int as found,
            (select count(*) from claimed_chats)::int as claimed`,
      },
      columns: ["found", "claimed"],
      from: sql`claim`,
    });
    return claim;
  }

  /** Shards have neither an order of locks nor one snapshot, so each chat is locked before its turns are read. */
  function claimOneByOne(context: Context): Promise<Claim> {
    return inTransaction(context, async (context) => {
      const found = await query<{ id: string }>(context, {
        columns: { id: sql`chats.id` },
        from: sql`${chats} where ${isOwned}`,
      });
      let claimed = 0;
      for (const { id } of found) {
        const isChat = sql`chats.id = ${id} and ${isOwned}`;
        await query(context, { columns: { locked: sql`1` }, from: sql`${chats} where ${isChat} for update` });
        const [running] = await query<{ tokens: string | null }>(context, {
          ctes: { running: sql`select ${tokensOf(sql`${id}`)} as tokens from ${chats} where ${isChat}` },
          columns: ["tokens"],
          from: sql`running`,
        });
        const claim = sql`
          update ${chats}
          set user_id = ${userId}, claimed_from = ${running?.tokens ?? null}
          where ${isChat}
          returning 1 as claimed`;
        claimed += (await write(context, claim, "claimed")).length;
      }
      return { found: found.length, claimed };
    });
  }

  /**
   * The chat's tokens and those of the turns that run in it. A turn that an earlier owner began has its token already.
   */
  function tokensOf(chatId: SQL): SQL {
    return sql`(
      select coalesce(chats.claimed_from || ' ', '') || tokens
      from (
        select string_agg(${turnToken(sql`t.id`, fromUserId)}, ' ') as tokens
        from ${turns} t
        where t.chat_id = ${chatId} and ${mayStillEnd}
      ) running_turns
    )`;
  }
}

interface Claim {
  found: number;
  claimed: number;
}

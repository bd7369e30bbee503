import { sql } from "drizzle-orm";
import { execute, executeChange } from "../database/execute.ts";
import { retryOvertaken } from "../database/retry-overtaken.ts";
import { asUser } from "../database/row-level-security.ts";
import { sqlStateOf } from "../database/sqlstate.ts";
import { columnsNamed } from "../database/statement.ts";
import { ChatStoreError } from "../errors.ts";
import { claimChatsInput, parseInput } from "../input.ts";
import { type ChatTables, ownedBy } from "../schema.ts";
import type { ChatDatabase, ClaimChatsInput, StoreSettings } from "../types.ts";

/**
 * Each chat remembers from whom it was claimed, by which the turns that this user has begun in it go on. It is done in the name
 * of the user who gives: the policies let a row go that says so.
 */
export async function claimChats(
  db: ChatDatabase,
  { chats }: ChatTables,
  input: ClaimChatsInput,
  settings: StoreSettings,
): Promise<number> {
  const { fromUserId, userId } = parseInput(claimChatsInput, input);
  if (fromUserId === userId) return 0;
  const owned = ownedBy(chats, fromUserId);
  const claim = sql`update ${chats} set user_id = ${userId}, claimed_from = ${fromUserId} where ${owned}`;
  const seen = sql`select count(*)::int seen from ${chats} where ${owned}`;
  let total = 0;
  try {
    return await asUser(db, { userId: fromUserId, evenIfClaimed: true }, settings, (db) =>
      retryOvertaken(db, async () => {
        const found = await (settings.portable ? claimPortably(db) : claimInOneStatement(db));
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

  async function claimInOneStatement(db: ChatDatabase): Promise<Claimed> {
    const [found = { claimed: 0, seen: 0 }] = await execute<Claimed>(db, {
      with: {
        // Locked in the order in which deleteAllChats locks them, or each could wait for what the other has.
        claimed: sql`${claim} and chats.id in (select chats.id from ${chats} where ${owned} order by chats.id for update) returning 1`,
        found: sql`select (select count(*) from claimed)::int claimed, (${seen})`,
      },
      select: columnsNamed("claimed", "seen"),
      from: sql`found`,
    });
    return found;
  }

  /** Over shards there is no order of locks: who loses a deadlock tries again. */
  async function claimPortably(db: ChatDatabase): Promise<Claimed> {
    const [found = { seen: 0 }] = await execute<Pick<Claimed, "seen">>(db, {
      with: { found: seen },
      select: columnsNamed("seen"),
      from: sql`found`,
    });
    const claimed = await executeChange(db, sql`${claim} returning 1 claimed`, "claimed");
    return { ...found, claimed: claimed.length };
  }
}

interface Claimed {
  claimed: number;
  /** How many there were to claim. */
  seen: number;
}

const insufficientPrivilege = "42501";

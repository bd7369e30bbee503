import type { Context } from "../database/context.ts";
import { query } from "../database/query.ts";
import { retryOnConflict, type WriteConflict } from "../database/retry-on-conflict.ts";
import { sql } from "../database/sql.ts";
import { inTransaction } from "../database/transaction.ts";
import { type Actor, accessibleTo } from "../schema.ts";

/**
 * Runs `work` optimistically. If another writer changes the chat between its read and its write, runs it again in a
 * transaction that locks the chat first, so that it cannot lose twice: on a busy chat, an optimistic retry would lose
 * again and again. There are more attempts only where nothing can be locked: without transactions, or while the chat is
 * being created.
 */
export function retryWithLock<T>(
  context: Context,
  chat: Actor & { chatId: string },
  work: (context: Context) => Promise<T | WriteConflict>,
): Promise<T> {
  return retryOnConflict(context, (attempt) =>
    attempt === 1 && !context.settings.portable ? work(context) : withLock(context, chat, work),
  );
}

function withLock<T>(
  context: Context,
  { chatId, ...actor }: Actor & { chatId: string },
  work: (context: Context) => Promise<T>,
): Promise<T> {
  const { chats } = context.tables;
  const lockAndWork = async (context: Context) => {
    // A statement of its own: only a later statement sees what other writers committed while this one waited.
    await query(context, {
      columns: { locked: sql`1` },
      from: sql`${chats} where chats.id = ${chatId} and ${accessibleTo(chats, actor)} for update`,
    });
    return work(context);
  };
  // A portable save is several statements: without a transaction, a failure would leave it half done.
  return inTransaction(context, lockAndWork, context.settings.portable ? undefined : () => work(context));
}

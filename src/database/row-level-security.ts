import type { SQL } from "drizzle-orm";
import { type Actor, turnToken as turnTokenOf } from "../schema.ts";
import type { Context } from "./context.ts";
import { oneRow } from "./preparable-query.ts";
import { query } from "./query.ts";
import { sql } from "./sql.ts";
import { inTransaction, isTransaction } from "./transaction.ts";

/** Settings of a transaction that the policies read. Postgres needs no declaration of them. */
const setting = {
  /** The user whose chats are visible. */
  userId: "chat_store.user_id",
  /** The token of a turn, which keeps access to its chat when another user claims that. */
  turnToken: "chat_store.turn_token",
  /** The user who may become the owner of chats. */
  claimantId: "chat_store.claimant_id",
};

interface Identity extends Actor {
  claimantId?: string | undefined;
}

/**
 * Runs `work` with the settings that the policies below check, if the store was created with `rowLevelSecurity`. It
 * needs a transaction, because the settings must end before the connection goes back to its pool. In a transaction of
 * the caller's, the settings get their previous values afterwards; if `work` throws, the savepoint restores them.
 */
export async function asUser<T>(
  context: Context,
  { userId, turnId, claimantId = "" }: Identity,
  work: (context: Context) => Promise<T>,
): Promise<T> {
  if (!context.settings.rowLevelSecurity) return work(context);
  const isOwnTransaction = !isTransaction(context);
  return inTransaction(context, async (context) => {
    const [previous] = await query<{ userId: string | null; turnToken: string | null; claimantId: string | null }>(
      context,
      {
        ctes: {
          // `offset 0` makes Postgres read the settings before it changes them.
          previous: sql`
            select
              ${current(setting.userId)} as user_id,
              ${current(setting.turnToken)} as turn_token,
              ${current(setting.claimantId)} as claimant_id
            offset 0`,
        },
        columns: {
          userId: sql`user_id`,
          turnToken: sql`turn_token`,
          claimantId: sql`claimant_id`,
          ...set(sql`${userId}`, turnId ? turnTokenOf(turnId, userId) : sql`''`, sql`${claimantId}`),
        },
        from: sql`previous`,
      },
    );
    const result = await work(context);
    if (isOwnTransaction) return result;
    await query(context, {
      columns: set(
        sql`${previous?.userId ?? ""}`,
        sql`${previous?.turnToken ?? ""}`,
        sql`${previous?.claimantId ?? ""}`,
      ),
      from: oneRow,
    });
    return result;
  });
}

const current = (name: string) => sql`current_setting(${name}, true)`;

const set = (userId: SQL, turnToken: SQL, claimantId: SQL) => ({
  setUserId: sql`set_config(${setting.userId}, ${userId}, true)`,
  setTurnToken: sql`set_config(${setting.turnToken}, ${turnToken}, true)`,
  setClaimantId: sql`set_config(${setting.claimantId}, ${claimantId}, true)`,
});

/**
 * The policies as SQL, for a schema named by a quoted identifier. They do not apply to the tables' owner, superusers
 * and roles with BYPASSRLS. Without the settings no chat is visible, because no value equals null.
 */
export const policies = (schema: string): string[] => {
  // After a transaction that had a setting, the connection keeps it as "". The subquery is evaluated once, not for each
  // row.
  const value = (name: string) => `(select nullif(current_setting('${name}', true), ''))`;
  const isAccessible = (table: string) =>
    `${table}.user_id = ${value(setting.userId)} or strpos(${table}.claimed_from, ${value(setting.turnToken)}) > 0`;
  // Postgres checks both conditions for the new version of a row that an update has changed.
  const isClaimed = (table: string) => `${table}.user_id = ${value(setting.claimantId)}`;
  const isInAccessibleChat = (table: string) =>
    `exists (select from ${schema}."chats" c where c.id = ${table}.chat_id and (${isAccessible("c")}))`;
  const isOwnChat = `${isAccessible("chats")} or ${isClaimed("chats")}`;
  return [
    `alter table ${schema}."chats" enable row level security`,
    `drop policy if exists "chats_owner" on ${schema}."chats"`,
    `create policy "chats_owner" on ${schema}."chats" using (${isOwnChat}) with check (${isOwnChat})`,
    ...["messages", "turns", "turn_chunks", "branches"].flatMap((table) => [
      `alter table ${schema}."${table}" enable row level security`,
      `drop policy if exists "${table}_owner" on ${schema}."${table}"`,
      `create policy "${table}_owner" on ${schema}."${table}"
  using (${isInAccessibleChat(table)})
  with check (${isInAccessibleChat(table)})`,
    ]),
  ];
};

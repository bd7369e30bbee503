import { sql } from "drizzle-orm";
import type { ChatDatabase } from "../types.ts";
import { execute } from "./execute.ts";
import { inTransaction, isTransaction } from "./transaction.ts";

/** The setting that tells the policies whose chats a transaction may see. Reserved for it: Postgres needs no declaration. */
const setting = "chat_store.user_id";

/**
 * Does `work` as the user whose chats the policies below let through, where the store is told that there are such.
 * In a transaction, because the setting must end with it: a connection goes back to a pool that serves all users. In a
 * transaction of the caller's, which goes on, it is put back to what it was; after an error the savepoint does that.
 */
export async function asUser<T>(
  db: ChatDatabase,
  userId: string,
  { rowLevelSecurity }: { rowLevelSecurity: boolean },
  work: (db: ChatDatabase) => Promise<T>,
): Promise<T> {
  if (!rowLevelSecurity) return work(db);
  return inTransaction(db, async (tx) => {
    const [before] = await execute<{ user: string | null }>(
      tx,
      sql`with before as materialized (select current_setting(${setting}, true) "user")
select "user", set_config(${setting}, ${userId}, true) from before`,
    );
    const result = await work(tx);
    if (isTransaction(db)) await tx.execute(sql`select set_config(${setting}, ${before?.user ?? ""}, true)`);
    return result;
  });
}

/**
 * The policies, as SQL for a schema named by a quoted identifier. They hold for every role but the tables' owner, superusers
 * and roles with BYPASSRLS. Without the setting there are no chats, as nothing equals null.
 */
export const policies = (schema: string): string[] => {
  // After a transaction that had the setting, a connection has it as "". A subquery is evaluated once, not for each row.
  const isTheirs = (table: string) => `${table}.user_id = (select nullif(current_setting('${setting}', true), ''))`;
  const ofTheirChat = (table: string) =>
    `exists (select from ${schema}."chats" c where c.id = ${table}.chat_id and ${isTheirs("c")})`;
  return [
    `alter table ${schema}."chats" enable row level security`,
    `create policy "chats_owner" on ${schema}."chats" using (${isTheirs("chats")}) with check (${isTheirs("chats")})`,
    ...["messages", "turns", "turn_chunks"].flatMap((table) => [
      `alter table ${schema}."${table}" enable row level security`,
      `create policy "${table}_owner" on ${schema}."${table}"
  using (${ofTheirChat(table)})
  with check (${ofTheirChat(table)})`,
    ]),
  ];
};

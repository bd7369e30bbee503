import { sql } from "drizzle-orm";
import type { Asker } from "../schema.ts";
import type { ChatDatabase } from "../types.ts";
import { execute } from "./execute.ts";
import { inTransaction, isTransaction } from "./transaction.ts";

/**
 * The settings that tell the policies whose chats a transaction may see, and from whom they may have been claimed. Reserved for
 * it: Postgres needs no declaration.
 */
const [ownerSetting, claimedFromSetting] = ["chat_store.user_id", "chat_store.claimed_from"];

/**
 * Does `work` as the user whose chats the policies below let through, where the store is told that there are such.
 * In a transaction, because the setting must end with it: a connection goes back to a pool that serves all users. In a
 * transaction of the caller's, which goes on, it is put back to what it was; after an error the savepoint does that.
 */
export async function asUser<T>(
  db: ChatDatabase,
  { userId, evenIfClaimed }: Asker,
  { rowLevelSecurity }: { rowLevelSecurity: boolean },
  work: (db: ChatDatabase) => Promise<T>,
): Promise<T> {
  if (!rowLevelSecurity) return work(db);
  return inTransaction(db, async (tx) => {
    const [before] = await execute<{ user: string | null; claimed: string | null }>(tx, {
      with: {
        // `offset 0` has it read before it is set.
        before: sql`select current_setting(${ownerSetting}, true) "user", current_setting(${claimedFromSetting}, true) claimed offset 0`,
      },
      select: { user: sql`"user"`, claimed: sql`claimed`, ...set(userId, evenIfClaimed ? userId : "") },
      from: sql`before`,
    });
    const result = await work(tx);
    if (isTransaction(db)) {
      await execute(tx, { select: set(before?.user ?? "", before?.claimed ?? ""), from: sql`(select) once` });
    }
    return result;
  });
}

const set = (owner: string, claimedFrom: string) => ({
  ownerSet: sql`set_config(${ownerSetting}, ${owner}, true)`,
  claimedFromSet: sql`set_config(${claimedFromSetting}, ${claimedFrom}, true)`,
});

/**
 * The policies, as SQL for a schema named by a quoted identifier. They hold for every role but the tables' owner, superusers
 * and roles with BYPASSRLS. Without the setting there are no chats, as nothing equals null.
 */
export const policies = (schema: string): string[] => {
  // After a transaction that had the setting, a connection has it as "". A subquery is evaluated once, not for each row.
  const equals = (column: string, setting: string) =>
    `${column} = (select nullif(current_setting('${setting}', true), ''))`;
  const isTheirs = (table: string) =>
    `${equals(`${table}.user_id`, ownerSetting)} or ${equals(`${table}.claimed_from`, claimedFromSetting)}`;
  const ofTheirChat = (table: string) =>
    `exists (select from ${schema}."chats" c where c.id = ${table}.chat_id and (${isTheirs("c")}))`;
  return [
    `alter table ${schema}."chats" enable row level security`,
    `drop policy if exists "chats_owner" on ${schema}."chats"`,
    `create policy "chats_owner" on ${schema}."chats" using (${isTheirs("chats")}) with check (${isTheirs("chats")})`,
    ...["messages", "turns", "turn_chunks"].flatMap((table) => [
      `alter table ${schema}."${table}" enable row level security`,
      `drop policy if exists "${table}_owner" on ${schema}."${table}"`,
      `create policy "${table}_owner" on ${schema}."${table}"
  using (${ofTheirChat(table)})
  with check (${ofTheirChat(table)})`,
    ]),
  ];
};

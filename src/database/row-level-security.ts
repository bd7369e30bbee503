import { type SQL, sql } from "drizzle-orm";
import { type Asker, turnToken } from "../schema.ts";
import type { ChatDatabase } from "../types.ts";
import { execute } from "./execute.ts";
import { inTransaction, isTransaction } from "./transaction.ts";

/**
 * The settings that tell the policies whose chats a transaction may see, which turn may also see the chat that it runs in after a
 * claim, and to which user chats may go. Postgres needs no declaration of them.
 */
const [ownerSetting, turnSetting, claimantSetting] = [
  "chat_store.user_id",
  "chat_store.turn_token",
  "chat_store.claimant_id",
];

/** In whose name a transaction runs. */
interface Identity extends Asker {
  /** The user who claims the chats of the other. */
  claimantId?: string | undefined;
}

/**
 * Does `work` as the user whose chats the policies below let through, where the store is told that there are such.
 * In a transaction, because the setting must end with it: a connection goes back to a pool that serves all users. In a
 * transaction of the caller's, which goes on, it is put back to what it was; after an error the savepoint does that.
 */
export async function asUser<T>(
  db: ChatDatabase,
  { userId, turnId, claimantId = "" }: Identity,
  { rowLevelSecurity }: { rowLevelSecurity: boolean },
  work: (db: ChatDatabase) => Promise<T>,
): Promise<T> {
  if (!rowLevelSecurity) return work(db);
  return inTransaction(db, async (tx) => {
    const [before] = await execute<{ owner: string | null; turn: string | null; claimant: string | null }>(tx, {
      with: {
        // `offset 0` has it read before it is set.
        before: sql`select ${current(ownerSetting)} owner, ${current(turnSetting)} turn, ${current(claimantSetting)} claimant offset 0`,
      },
      select: {
        owner: sql`owner`,
        turn: sql`turn`,
        claimant: sql`claimant`,
        ...set(sql`${userId}`, turnId ? turnToken(turnId, userId) : sql`''`, sql`${claimantId}`),
      },
      from: sql`before`,
    });
    const result = await work(tx);
    if (isTransaction(db)) {
      const { owner, turn, claimant } = before ?? {};
      await execute(tx, {
        select: set(sql`${owner ?? ""}`, sql`${turn ?? ""}`, sql`${claimant ?? ""}`),
        from: sql`(select) once`,
      });
    }
    return result;
  });
}

const current = (setting: string) => sql`current_setting(${setting}, true)`;

const set = (owner: SQL, turn: SQL, claimant: SQL) => ({
  ownerSet: sql`set_config(${ownerSetting}, ${owner}, true)`,
  turnSet: sql`set_config(${turnSetting}, ${turn}, true)`,
  claimantSet: sql`set_config(${claimantSetting}, ${claimant}, true)`,
});

/**
 * The policies, as SQL for a schema named by a quoted identifier. They hold for every role but the tables' owner, superusers
 * and roles with BYPASSRLS. Without the setting there are no chats, as nothing equals null.
 */
export const policies = (schema: string): string[] => {
  // After a transaction that had the setting, a connection has it as "". A subquery is evaluated once, not for each row.
  const setTo = (setting: string) => `(select nullif(current_setting('${setting}', true), ''))`;
  const isTheirs = (table: string) =>
    `${table}.user_id = ${setTo(ownerSetting)} or strpos(${table}.claimed_from, ${setTo(turnSetting)}) > 0`;
  // Postgres asks both conditions of a row that an update has changed.
  const isClaimed = (table: string) => `${table}.user_id = ${setTo(claimantSetting)}`;
  const ofTheirChat = (table: string) =>
    `exists (select from ${schema}."chats" c where c.id = ${table}.chat_id and (${isTheirs("c")}))`;
  return [
    `alter table ${schema}."chats" enable row level security`,
    `drop policy if exists "chats_owner" on ${schema}."chats"`,
    `create policy "chats_owner" on ${schema}."chats" using (${isTheirs("chats")} or ${isClaimed("chats")}) with check (${isTheirs("chats")} or ${isClaimed("chats")})`,
    ...["messages", "turns", "turn_chunks"].flatMap((table) => [
      `alter table ${schema}."${table}" enable row level security`,
      `drop policy if exists "${table}_owner" on ${schema}."${table}"`,
      `create policy "${table}_owner" on ${schema}."${table}"
  using (${ofTheirChat(table)})
  with check (${ofTheirChat(table)})`,
    ]),
  ];
};

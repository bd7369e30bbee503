import { and, desc, sql } from "drizzle-orm";
import { withoutHoles } from "../database/execute.ts";
import { asUser } from "../database/row-level-security.ts";
import { getChatsInput, parseInput } from "../input.ts";
import { type ChatTables, ownedBy } from "../schema.ts";
import type { Chat, ChatDatabase, GetChatsInput, StoreSettings } from "../types.ts";

export async function getChats(
  db: ChatDatabase,
  { chats }: ChatTables,
  input: GetChatsInput,
  settings: StoreSettings,
): Promise<Chat[]> {
  const { userId, limit, before } = parseInput(getChatsInput, input);

  // A row comparison, so that the index serves it and chats saved within the same millisecond are not skipped.
  const afterPrevious =
    before &&
    sql`(${chats.updatedAt}, ${chats.id}) < (${sql.param(before.updatedAt, chats.updatedAt)}::timestamptz, ${before.id}::text)`;

  return asUser(db, userId, settings, async (db) => {
    const page = db
      .select()
      .from(chats)
      .where(and(ownedBy(chats, userId), afterPrevious))
      .orderBy(desc(chats.updatedAt), desc(chats.id));
    return withoutHoles(await (limit === undefined ? page : page.limit(limit)));
  });
}

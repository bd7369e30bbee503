import type { SQL } from "drizzle-orm";
import { chatJson, parseChat, returnedChatJson } from "../conversation/chat-row.ts";
import { serialise } from "../conversation/message-row.ts";
import type { Context } from "../database/context.ts";
import { query } from "../database/query.ts";
import { retryOnConflict, writeConflict } from "../database/retry-on-conflict.ts";
import { asUser } from "../database/row-level-security.ts";
import { sql } from "../database/sql.ts";
import type { Parsed, updateChatInput } from "../input.ts";
import { ownedBy } from "../schema.ts";
import type { Chat } from "../types.ts";

/**
 * Touches neither the version nor `updated_at`, so that it conflicts with no save. The row gets another `xmin` all the
 * same: a save that runs meanwhile reads again, and finds its own columns unchanged.
 */
export async function updateChat(
  context: Context,
  { userId, chatId, ...values }: Parsed<typeof updateChatInput>,
): Promise<Chat | null> {
  // Before anything is awaited: the caller may change its metadata after the call.
  const columns = columnsOf(values);
  return asUser(context, { userId }, (context) => updateColumns(context, { userId, chatId, columns }));
}

function updateColumns(
  context: Context,
  { userId, chatId, columns }: { userId: string; chatId: string; columns: readonly Column[] },
): Promise<Chat | null> {
  const { chats } = context.tables;
  const assignments = columns.map(({ name, value }) => sql`${sql.raw(name)} = ${value}`);
  const conditions = columns.map(({ differs }) => differs);
  const differs = sql`(${sql.join(conditions, sql` or `)})`;
  const isChat = sql`chats.id = ${chatId} and ${ownedBy(chats, userId)}`;
  return retryOnConflict(context, async () => {
    const [found] = await query<{ chat: string; differs: 0 | 1 }>(context, {
      ctes: {
        updated_chat: sql`
          update ${chats}
          set ${sql.join(assignments, sql`, `)}
          where ${isChat} and ${differs}
          returning ${returnedChatJson(context.settings)} as chat`,
        found: sql`
          select chat, 0 as differs from updated_chat
          union all
          select ${chatJson}, ${differs}::int
          from ${chats}
          where ${isChat} and not exists (table updated_chat)`,
      },
      columns: ["chat", "differs"],
      from: sql`found`,
    });
    if (!found) return null;
    // It still differs: another writer changed the row while the update waited for it.
    return found.differs ? writeConflict : parseChat(found.chat);
  });
}

interface Column {
  name: string;
  value: SQL;
  /** Whether the stored value is another one. */
  differs: SQL;
}

function columnsOf(given: Omit<Parsed<typeof updateChatInput>, "userId" | "chatId">): Column[] {
  const { titleIfEmpty, archived, metadata } = given;
  const { title, expectedTitle } = titleIfEmpty === undefined ? given : { title: titleIfEmpty, expectedTitle: "" };
  const columns: Column[] = [];
  if (title !== undefined && expectedTitle === undefined) {
    columns.push({ name: "title", value: sql`${title}::text`, differs: sql`chats.title <> ${title}` });
  } else if (title !== undefined) {
    const isExpected = sql`chats.title = ${expectedTitle}::text`;
    columns.push({
      name: "title",
      // Another column may be what differs.
      value: sql`case when ${isExpected} then ${title}::text else chats.title end`,
      differs: sql`(${isExpected} and chats.title <> ${title})`,
    });
  }
  if (archived !== undefined) {
    columns.push({
      name: "archived_at",
      // `least` ignores nulls, so that an archived chat keeps its time. Citus refuses `coalesce` with a function like
      // `now()`.
      value: archived ? sql`least(chats.archived_at, now())` : sql`null`,
      differs: archived ? sql`chats.archived_at is null` : sql`chats.archived_at is not null`,
    });
  }
  if (metadata !== undefined) {
    const json = serialise(metadata, ["metadata"]);
    // JSON.stringify writes null for an invalid Date, too.
    const text = json === "null" ? null : json;
    columns.push({
      name: "metadata",
      value: sql`${text}::text::json`,
      differs: sql`chats.metadata::text is distinct from ${text}::text`,
    });
  }
  return columns;
}

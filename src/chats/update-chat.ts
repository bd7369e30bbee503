import { type SQL, sql } from "drizzle-orm";
import { chatRow, parseChat, returnedChatRow } from "../conversation/chat-row.ts";
import { serialise } from "../conversation/messages.ts";
import { execute } from "../database/execute.ts";
import { retryOvertaken } from "../database/retry-overtaken.ts";
import { asUser } from "../database/row-level-security.ts";
import { columnsNamed } from "../database/statement.ts";
import { parseInput, updateChatInput } from "../input.ts";
import { type ChatTables, ownedBy } from "../schema.ts";
import type { Chat, ChatDatabase, StoreSettings, UpdateChatInput } from "../types.ts";

/**
 * Neither counts the version up nor moves the chat in the list, so that nobody who saves meanwhile is in conflict with it. That
 * the row becomes another one makes the saves that run look again, and find nothing changed that concerns them.
 */
export async function updateChat<C>(
  db: ChatDatabase,
  { chats }: ChatTables,
  input: UpdateChatInput<C>,
  settings: StoreSettings,
): Promise<Chat | null> {
  const { userId, chatId, ...given } = parseInput(updateChatInput, input);
  const columns = columnsOf(given);
  const assignments = columns.map(({ name, value }) => sql`${sql.raw(name)} = ${value}`);
  const differs = sql`(${sql.join(
    columns.map(({ differs }) => differs),
    sql` or `,
  )})`;
  const chosen = sql`chats.id = ${chatId} and ${ownedBy(chats, userId)}`;
  const statement = {
    with: {
      updated: sql`update ${chats} set ${sql.join(assignments, sql`, `)} where ${chosen} and ${differs} returning ${returnedChatRow(settings)} chat`,
      found: sql`select chat, 0 overtaken from updated
union all
select ${chatRow}, ${differs}::int from ${chats} where ${chosen} and not exists (table updated)`,
    },
    select: columnsNamed("chat", "overtaken"),
    from: sql`found`,
  };

  return asUser(db, { userId }, settings, (db) =>
    retryOvertaken(db, async () => {
      const [found] = await execute<{ chat: string; overtaken: 0 | 1 }>(db, statement);
      if (!found) return null;
      return found.overtaken ? undefined : parseChat(found.chat);
    }),
  );
}

interface Column {
  name: string;
  value: SQL;
  differs: SQL;
}

function columnsOf(given: Omit<UpdateChatInput, "userId" | "chatId">): Column[] {
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
      // The earlier of the two: null counts for nothing. Citus would refuse `coalesce` with a function like this one.
      value: archived ? sql`least(chats.archived_at, now())` : sql`null`,
      differs: archived ? sql`chats.archived_at is null` : sql`chats.archived_at is not null`,
    });
  }
  if (metadata !== undefined) {
    const json = serialise(metadata, ["metadata"]);
    // JSON writes null for an invalid Date, too.
    const text = json === "null" ? null : json;
    columns.push({
      name: "metadata",
      value: sql`${text}::text::json`,
      differs: sql`chats.metadata::text is distinct from ${text}::text`,
    });
  }
  return columns;
}

import { type SQL, sql } from "drizzle-orm";
import { execute, executeChange } from "../database/execute.ts";
import { columnsNamed } from "../database/statement.ts";
import { ChatOwnershipError } from "../errors.ts";
import { type Asker, type ChatTables, ownedBy, ownedByAsker } from "../schema.ts";
import type { Chat, ChatDatabase, StoreSettings } from "../types.ts";
import { parseChat, returnedChatRow, returnedUpdatedAt } from "./chat-row.ts";
import { difference } from "./difference.ts";
import type { StoredChat } from "./load-chat.ts";
import type { MessageRow } from "./messages.ts";
import { differenceStatements } from "./save-difference.ts";

/** What a chat, as somebody has just read it, is to become. */
export interface Change extends Asker {
  chatId: string;
  /** Of a chat that is created. */
  title?: string | undefined;
  /** Of one that is there. */
  newTitle?: string | undefined;
  /** As it was read, whole or from a message on; null if there was no such chat. */
  stored: Pick<StoredChat, "chat" | "rowVersion" | "rows" | "firstOrder"> | null;
  /** The conversation afterwards. What is still the same object costs nothing. */
  rows: readonly MessageRow[];
  /** What else has to happen, or not, together with it: statements that do something only `when` the chat is as it was read. */
  also?(when: SQL, removed: readonly string[]): SQL[];
}

/**
 * Writes a change to a chat in one statement, which neither reads nor compares the messages that stay: `touched` matches only
 * the row version that was read, for the reason given at `saveTail`. It updates the chat's row also where no message changes,
 * so that whoever has read the chat before learns of it.
 *
 * @returns undefined if nothing was done, because another writer came in between.
 * @throws {ChatOwnershipError}
 */
export async function saveChange(
  db: ChatDatabase,
  tables: ChatTables,
  change: Change,
  settings: StoreSettings,
): Promise<SavedChange | undefined> {
  const { chats } = tables;
  const { chatId, title = "", newTitle, stored, rows, also = () => [], ...asker } = change;
  const changes = difference(stored?.rows ?? [], rows, stored?.firstOrder);
  const statements = (when: SQL) => [
    ...differenceStatements(tables, chatId, changes, when),
    ...also(when, changes.removed),
  ];
  return stored ? update(stored) : create();

  async function update({ chat, rowVersion }: NonNullable<Change["stored"]>): Promise<SavedChange | undefined> {
    const isNews = !changes.isEmpty || newTitle !== undefined;
    const counted = isNews
      ? sql`version = chats.version + 1, updated_at = greatest(chats.updated_at, now())`
      : sql`version = chats.version`;
    const touch = sql`update ${chats} set ${counted}${newTitle === undefined ? sql`` : sql`, title = ${newTitle}`}
where chats.id = ${chatId} and ${ownedByAsker(chats, asker)} and chats.xmin = ${rowVersion}::text::xid
returning ${returnedUpdatedAt(settings)} updated, chats.xmin::text v`;
    const touched = await write<{ updated: string; v: string }>(touch, "updated", "v");
    if (!touched) return undefined;
    // All else is as it was read, or the row would be another.
    const saved = { ...chat, title: newTitle ?? chat.title, updatedAt: new Date(Number(touched.updated)) };
    return { chat: isNews ? { ...saved, version: chat.version + 1 } : saved, rowVersion: touched.v };
  }

  async function create(): Promise<SavedChange | undefined> {
    // Its xmin, which a partitioned table does not give of a row that is inserted. Portably nobody goes by it later.
    const insert = sql`insert into ${chats} (id, user_id, title) values (${chatId}, ${asker.userId}, ${title}) on conflict (id) do nothing
returning ${returnedChatRow(settings)} chat, ${settings.portable ? sql`''` : sql`pg_current_xact_id()::xid::text`} v`;
    const created = await write<{ chat: string; v: string }>(insert, "chat", "v");
    if (created) return { chat: parseChat(created.chat), rowVersion: created.v };
    const [taken] = await execute<{ owned: 0 | 1 }>(db, {
      with: { taken: sql`select ${ownedBy(chats, asker.userId)} owned from ${chats} where chats.id = ${chatId}` },
      select: { owned: sql`owned::int` },
      from: sql`taken`,
    });
    // Policies hide other users' chats.
    if (taken?.owned === 0 || (settings.rowLevelSecurity && !taken)) throw new ChatOwnershipError({ chatId });
    return undefined;
  }

  /** The chat's row, and all that goes with it if that could be written. */
  async function write<Row extends object>(touch: SQL, ...returned: (keyof Row & string)[]): Promise<Row | undefined> {
    // A policy does not see a chat that the same statement creates, and refuses its messages. In both cases `db` is a transaction.
    if (settings.portable || (settings.rowLevelSecurity && !stored)) {
      const [touched] = await executeChange<Row>(db, touch, ...returned);
      if (touched) for (const statement of statements(sql`true`)) await executeChange(db, statement);
      return touched;
    }
    const parts = statements(sql`exists (table touched)`).map((statement, index) => [`part${index}`, statement]);
    const [touched] = await execute<Row>(db, {
      with: { touched: touch, ...Object.fromEntries(parts) },
      select: columnsNamed<Row>(...returned),
      from: sql`touched`,
    });
    return touched;
  }
}

interface SavedChange {
  chat: Chat;
  rowVersion: string;
}

import { type SQL, sql } from "drizzle-orm";
import { execute } from "../database/execute.ts";
import { ChatOwnershipError } from "../errors.ts";
import { type Asker, type ChatTables, ownedBy, ownedByAsker } from "../schema.ts";
import type { Chat, ChatDatabase, StoreSettings } from "../types.ts";
import { chatRow, parseChat } from "./chat-row.ts";
import type { StoredChat } from "./load-chat.ts";
import { difference, type MessageRow } from "./messages.ts";
import { differenceStatements } from "./save-difference.ts";

/** What a chat, as somebody has just read it, is to become. */
export interface Change extends Asker {
  chatId: string;
  /** Of a chat that is created. */
  title?: string | undefined;
  /** Of one that is there. */
  newTitle?: string | undefined;
  /** As it was read, whole or from a message on; null if there was no such chat. */
  stored: Pick<StoredChat, "rowVersion" | "rows" | "firstOrder"> | null;
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
): Promise<{ chat: Chat; rowVersion: string } | undefined> {
  const { chats } = tables;
  const { chatId, title = "", newTitle, stored, rows, also = () => [], ...asker } = change;
  const changes = difference(stored?.rows ?? [], rows, stored?.firstOrder);
  const isNews = !changes.isEmpty || newTitle !== undefined;
  const touched = stored
    ? sql`update ${chats} set ${isNews ? sql`version = chats.version + 1, updated_at = greatest(chats.updated_at, now())` : sql`version = chats.version`}${
        newTitle === undefined ? sql`` : sql`, title = ${newTitle}`
      }
where chats.id = ${chatId} and ${ownedByAsker(chats, asker)} and chats.xmin = ${stored.rowVersion}::text::xid returning ${chatRow} chat, chats.xmin::text v`
    : // Its xmin, which a partitioned table does not give of a row that is inserted.
      sql`insert into ${chats} (id, user_id, title) values (${chatId}, ${asker.userId}, ${title}) on conflict do nothing
returning ${chatRow} chat, pg_current_xact_id()::xid::text v`;
  const owned = sql`(select ${ownedBy(chats, asker.userId)} from ${chats} where chats.id = ${chatId})::int owned`;
  const statements = (when: SQL) => [
    ...differenceStatements(tables, chatId, changes, when),
    ...also(when, changes.removed),
  ];

  // A policy does not see a chat that the same statement creates, and refuses its messages. In both cases `db` is a transaction.
  const oneByOne = settings.portable || (settings.rowLevelSecurity && !stored);
  const result = oneByOne ? await saveOneByOne() : await saveInOneStatement();
  if (result && result.chat !== null) return { chat: parseChat(result.chat), rowVersion: result.v };
  // Policies hide other users' chats.
  if (!stored && (result?.owned === 0 || (settings.rowLevelSecurity && result?.owned === null))) {
    throw new ChatOwnershipError({ chatId });
  }
  return undefined;

  async function saveInOneStatement(): Promise<Saved | Refused | undefined> {
    const parts = statements(sql`exists (table touched)`).map(
      (statement, index) => sql`, ${sql.raw(`part${index}`)} as (\n${statement}\n)`,
    );
    const [result] = await execute<Saved | Refused>(
      db,
      sql`with touched as (
${touched}
)${sql.join(parts)}
select chat, v, ${stored ? sql`1 owned` : owned} from (values (1)) one left join touched on true`,
    );
    return result;
  }

  async function saveOneByOne(): Promise<Saved | Refused | undefined> {
    const [saved] = await execute<Saved>(db, touched);
    if (!saved) return (await execute<Refused>(db, sql`select null chat, null v, ${owned}`))[0];
    for (const statement of statements(sql`true`)) await db.execute(statement);
    return saved;
  }
}

interface Saved {
  chat: string;
  v: string;
}

interface Refused {
  chat: null;
  v: null;
  /** Null if there is no such chat, or none that can be seen. */
  owned: 0 | 1 | null;
}

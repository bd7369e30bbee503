import { type SQL, sql } from "drizzle-orm";
import { execute, executeChange } from "../database/execute.ts";
import { ChatOwnershipError, versionConflict } from "../errors.ts";
import { type ChatTables, ownedBy } from "../schema.ts";
import type { Chat, ChatDatabase, StoreSettings } from "../types.ts";
import { parseChat, returnedChatRow } from "./chat-row.ts";
import { chunks, type Difference, difference, type StoredDigest } from "./difference.ts";
import type { MessageRow, Save } from "./messages.ts";

/** Thrown to roll back the lock's increment of the version when it turns out that there is nothing to save. */
export class Unchanged {
  constructor(readonly chat: Chat) {}
}

/**
 * The conversation becomes `save.rows`, at the price of what differs. Takes the chat's lock with its first statement, so
 * savers of one chat take turns and the result is always exactly one saver's conversation.
 */
export async function saveDifference(
  tx: ChatDatabase,
  tables: ChatTables,
  save: Save,
  settings: StoreSettings,
): Promise<Chat> {
  const { userId, chatId, title, expectedVersion, rows } = save;
  const { chats, messages } = tables;
  const locked = await lockChat(tx, tables, save, settings);
  if (!locked) throw new ChatOwnershipError({ chatId });

  const stored = locked.version === 1 ? null : { ...locked, version: locked.version - 1 };
  const storedMessages = stored
    ? await execute<StoredDigest>(tx, {
        select: { id: sql`m.id`, order: sql`m."order"`, digest: sql`encode(m.digest, 'hex')` },
        from: sql`${messages} m where m.chat_id = ${chatId}`,
      })
    : [];
  const changes = difference(storedMessages, rows);

  const sameTitle = title === undefined || title === stored?.title;
  if (stored && sameTitle && changes.isEmpty) throw new Unchanged(stored);
  if (expectedVersion !== undefined && expectedVersion !== (stored?.version ?? 0)) {
    throw versionConflict({ chatId, expectedVersion, actualVersion: stored?.version ?? null });
  }

  for (const statement of differenceStatements(tables, chatId, changes)) await executeChange(tx, statement);
  if (!stored) return locked;
  const update = sql`update ${chats} set title = coalesce(${title ?? null}, chats.title), updated_at = greatest(chats.updated_at, now())
where chats.id = ${chatId} and ${ownedBy(chats, userId)} returning ${returnedChatRow(settings)} chat`;
  const [saved] = await executeChange<{ chat: string }>(tx, update, "chat");
  return saved ? parseChat(saved.chat) : locked;
}

/**
 * Creates the chat, or locks it by counting its version up if it is this user's; undefined if it is somebody else's. Must
 * stay statements of their own: only a later one, on a newer snapshot, sees what was committed while they waited.
 */
async function lockChat(
  tx: ChatDatabase,
  { chats }: ChatTables,
  { userId, chatId, title = "" }: Save,
  settings: StoreSettings,
): Promise<Chat | undefined> {
  const { rowLevelSecurity } = settings;
  const create = sql`insert into ${chats} (id, user_id, title) values (${chatId}, ${userId}, ${title}) on conflict (id) `;
  const countUp = sql`set version = chats.version + 1 where ${ownedBy(chats, userId)}`;
  const ways = rowLevelSecurity
    ? // Policies refuse an upsert that hits upon a chat they hide, with an error that may as well mean a missing privilege.
      [sql`update ${chats} ${countUp} and chats.id = ${chatId}`, sql`${create}do nothing`]
    : [sql`${create}do update ${countUp}`];
  // Twice, because the chat may have been created between the two ways.
  for (const way of [...ways, ...ways]) {
    const [locked] = await executeChange<{ chat: string }>(
      tx,
      sql`${way} returning ${returnedChatRow(settings)} chat`,
      "chat",
    );
    if (locked) return parseChat(locked.chat);
    if (!rowLevelSecurity) return undefined;
  }
  return undefined;
}

/** What makes a difference, each statement only `when` another one has done what it should. */
export function differenceStatements(
  { messages }: ChatTables,
  chatId: string,
  { removed, moved, changed }: Difference,
  when: SQL = sql`true`,
): SQL[] {
  const statements: SQL[] = [];
  if (removed.length > 0) {
    statements.push(
      sql`delete from ${messages} m where m.chat_id = ${chatId} and m.id in (select json_array_elements_text(${json(removed)})) and ${when}`,
    );
  }
  if (moved.length > 0) {
    statements.push(
      sql`update ${messages} m set "order" = x."order" from json_to_recordset(${json(moved)}) x (id text, "order" int)
where m.chat_id = ${chatId} and m.id = x.id and ${when}`,
    );
  }
  for (const chunk of chunks(changed)) {
    const { columns, source } = insertable(chunk);
    const instead = chunk.some(({ isStored }) => isStored)
      ? sql`
on conflict (chat_id, id) do update set "order" = excluded."order", role = excluded.role, parts = excluded.parts, metadata = excluded.metadata`
      : sql``;
    statements.push(
      sql`insert into ${messages} (chat_id, id, "order", role, parts, metadata)
select ${chatId}, ${columns}${source && sql` from ${source}`} where ${when}${instead}`,
    );
  }
  return statements;
}

/**
 * The columns `id, "order", role, parts, metadata` of messages, and a `source` of their own if they are several: one alone is planned
 * in less time. No json parameters: a driver that is told of one would serialise the text once more.
 */
export function insertable(rows: readonly (MessageRow & { order: number })[]): { columns: SQL; source?: SQL } {
  const [row, ...others] = rows;
  if (row && others.length === 0) {
    const { id, order, role, parts, metadata } = row;
    return { columns: sql`${id}, ${order}::int, ${role}, ${parts}::text::json, ${metadata}::text::json` };
  }
  const values = rows.map((row) => sql`(${row.id},${row.order}::int,${row.role},${row.parts},${row.metadata})`);
  return {
    columns: sql`a.id, a.o, a.role, a.parts::json, a.metadata::json`,
    source: sql`(values ${sql.join(values, sql`,`)}) a (id, o, role, parts, metadata)`,
  };
}

/** One text parameter in place of many: a statement takes at most 65,535, and drivers differ in how they send arrays. */
const json = (value: unknown) => sql`${JSON.stringify(value)}::text::json`;

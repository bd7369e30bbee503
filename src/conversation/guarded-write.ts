import type { SQL } from "drizzle-orm";
import type { Context } from "../database/context.ts";
import { query, write } from "../database/query.ts";
import { type WriteConflict, writeConflict } from "../database/retry-on-conflict.ts";
import { sql } from "../database/sql.ts";
import { inTransaction, isTransaction } from "../database/transaction.ts";
import { ChatOwnershipError } from "../errors/errors.ts";
import { type Actor, accessibleTo, ownedBy } from "../schema.ts";
import type { Chat } from "../types.ts";
import { parseChat, returnedChatJson, returnedUpdatedAt } from "./chat-row.ts";
import { batchesOf, diffStatements, isOneOf } from "./diff-statements.ts";
import { deleteBranches, keepBranch, moveBranches, type ReplacedMessages } from "./keep-branch.ts";
import type { MessageDiff } from "./message-diff.ts";

/** A change to a chat that was just read. */
export interface GuardedWrite extends Actor {
  chatId: string;
  /** The chat as it was read; null if the user has no such chat, so that it is created. */
  stored: { chat: Chat; rowVersion: string } | null;
  diff: MessageDiff;
  /** The title of a chat that is created. */
  title?: string | undefined;
  /** Another title for a chat that exists. */
  newTitle?: string | undefined;
  /** A new version also if neither a message nor the title changes: `alsoWrite` changes messages. */
  isNewVersion?: boolean | undefined;
  /** If the store keeps branches: those of these messages that the diff removes or rewrites become one. */
  keeps?: ReplacedMessages | undefined;
  /** A message that the diff puts in the place of one that it removes, under another id: what hangs on that hangs on it. */
  successor?: { of: string; id: string } | undefined;
  /** More statements of the same write. Each must do something only `when` the condition is true. */
  alsoWrite?(when: SQL, removedIds: readonly string[]): SQL[];
}

/** The chat after a write. */
export interface WrittenChat {
  chat: Chat;
  rowVersion: string;
}

/**
 * Writes a diff in one statement, without reading or comparing the messages that stay: it changes something only if the
 * chat's row still has the row version that was read. Why that is safe, `writeTail` says. It updates the chat's
 * row also if no message changes, so that other writers who have read the chat notice.
 *
 * @throws {ChatOwnershipError}
 */
export async function guardedWrite(context: Context, change: GuardedWrite): Promise<WrittenChat | WriteConflict> {
  const { chatId, title = "", newTitle, stored, diff, keeps, successor, alsoWrite, ...actor } = change;
  const { settings, tables } = context;
  const { chats } = tables;
  return stored ? update(stored) : create();

  async function update({ chat, rowVersion }: WrittenChat): Promise<WrittenChat | WriteConflict> {
    const isNewVersion = change.isNewVersion || !diff.isEmpty || newTitle !== undefined;
    const setVersion = isNewVersion
      ? sql`version = chats.version + 1, updated_at = greatest(chats.updated_at, now())`
      : sql`version = chats.version`;
    const setTitle = newTitle === undefined ? sql`` : sql`, title = ${newTitle}`;
    // In a transaction of the caller's the row version stays the same from call to call, and only `version` changes.
    const updateChat = sql`
      update ${chats}
      set ${setVersion} ${setTitle}
      where
        chats.id = ${chatId}
        and ${accessibleTo(chats, actor)}
        and chats.xmin = ${rowVersion}::text::xid
        and chats.version = ${chat.version}::int
      returning ${returnedUpdatedAt(settings)} as updated_at, chats.xmin::text as row_version`;
    const written = await writeAll<{ updated_at: string; row_version: string }>(
      updateChat,
      "updated_at",
      "row_version",
    );
    if (!written) return writeConflict;
    // All other columns are as they were read, or the row version would be another.
    const updated = { ...chat, title: newTitle ?? chat.title, updatedAt: new Date(Number(written.updated_at)) };
    return {
      chat: isNewVersion ? { ...updated, version: chat.version + 1 } : updated,
      rowVersion: written.row_version,
    };
  }

  async function create(): Promise<WrittenChat | WriteConflict> {
    // An insert into a partitioned table does not return xmin. In portable mode no later write uses it.
    const rowVersion = settings.portable ? sql`''` : sql`pg_current_xact_id()::xid::text`;
    const insertChat = sql`
      insert into ${chats} (id, user_id, title)
      values (${chatId}, ${actor.userId}, ${title})
      on conflict (id) do nothing
      returning ${returnedChatJson(settings)} as chat, ${rowVersion} as row_version`;
    const created = await writeAll<{ chat: string; row_version: string }>(insertChat, "chat", "row_version");
    if (created) return { chat: parseChat(created.chat), rowVersion: created.row_version };
    // The id is taken: by this user since the chat was read, or else by another user.
    const owner = await findOwner(context, { chatId, userId: actor.userId });
    if (owner === "another user" || (owner !== "this user" && settings.rowLevelSecurity)) {
      throw new ChatOwnershipError({ chatId });
    }
    return writeConflict;
  }

  /** Writes the chat's row and then everything else, if the row could be written. */
  async function writeAll<Row extends object>(
    writeChat: SQL,
    ...returned: (keyof Row & string)[]
  ): Promise<Row | undefined> {
    const batches = batchesOf(diff.written);
    // A policy does not see a chat that the same statement creates, and refuses its messages.
    const needsStatements = settings.portable || (settings.rowLevelSecurity && !stored);
    if (!needsStatements && batches.length <= 1) return inOneStatement();
    if (isTransaction(context)) return inStatements(context);
    return inTransaction(context, inStatements, needsStatements ? undefined : inOneStatement);

    async function inOneStatement(): Promise<Row | undefined> {
      const statements = allStatements(sql`exists (table written_chat)`, [diff.written]);
      const ctes = statements.map((statement, index) => [`change_${index + 1}`, statement]);
      const [written] = await query<Row>(context, {
        ctes: { written_chat: writeChat, ...Object.fromEntries(ctes) },
        columns: returned,
        from: sql`written_chat`,
      });
      return written;
    }

    async function inStatements(context: Context): Promise<Row | undefined> {
      const [written] = await write<Row>(context, writeChat, ...returned);
      if (written) for (const statement of allStatements(sql`true`, batches)) await write(context, statement);
      return written;
    }
  }

  function allStatements(when: SQL, batches: readonly MessageDiff["written"][]): SQL[] {
    return [
      ...branchStatements(when),
      ...diffStatements(tables, chatId, diff, when, batches),
      ...(alsoWrite?.(when, diff.removed) ?? []),
    ];
  }

  function branchStatements(when: SQL): SQL[] {
    if (!settings.branches) return [];
    const rewritten = diff.written.filter(({ isStored }) => isStored).map(({ id }) => id);
    const replaced = new Set([...diff.removed, ...rewritten]);
    const kept = keeps && { ...keeps, ids: keeps.ids.filter((id) => replaced.has(id)), first: diff.firstReplaced };
    const keptIds = new Set(kept?.ids);
    const lost = diff.removed.filter((id) => !keptIds.has(id) && id !== successor?.of);
    return [
      ...(kept && kept.ids.length > 0 ? keepBranch(tables, chatId, kept, when) : []),
      ...(successor ? [moveBranches(tables, chatId, successor, when)] : []),
      ...(lost.length === 0 ? [] : [deleteBranches(tables, chatId, isOneOf(sql`b.after_id`, lost), when)]),
    ];
  }
}

/** Which user has a chat under this id. Policies hide the chats of other users. */
export async function findOwner(
  context: Context,
  { chatId, userId }: { chatId: string; userId: string },
): Promise<"this user" | "another user" | "none, or hidden"> {
  const { chats } = context.tables;
  const [found] = await query<{ owned: 0 | 1 }>(context, {
    columns: { owned: sql`(${ownedBy(chats, userId)})::int` },
    from: sql`${chats} where chats.id = ${chatId}`,
  });
  if (!found) return "none, or hidden";
  return found.owned ? "this user" : "another user";
}

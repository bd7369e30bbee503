import { type SQL, sql } from "drizzle-orm";
import { parseChat, returnedChatRow } from "../conversation/chat-row.ts";
import { execute, executeChange } from "../database/execute.ts";
import { retryOvertaken } from "../database/retry-overtaken.ts";
import { asUser } from "../database/row-level-security.ts";
import { columnsNamed } from "../database/statement.ts";
import { inTransaction } from "../database/transaction.ts";
import { ChatConflictError, ChatOwnershipError } from "../errors.ts";
import { forkChatInput, parseInput } from "../input.ts";
import { type ChatTables, ownedBy } from "../schema.ts";
import type { Chat, ChatDatabase, ForkChatInput, StoreSettings } from "../types.ts";

export async function forkChat(
  db: ChatDatabase,
  { chats, messages }: ChatTables,
  input: ForkChatInput,
  settings: StoreSettings,
): Promise<Chat | null> {
  const { userId, chatId, newChatId, throughMessageId, title } = parseInput(forkChatInput, input);

  const last = sql`(select l."order" from ${messages} l where l.chat_id = ${chatId} and l.id = ${throughMessageId})`;
  const chosen = sql`from ${chats} where chats.id = ${chatId} and ${ownedBy(chats, userId)}${
    throughMessageId === undefined ? sql`` : sql` and exists ${last}`
  }`;
  // Locked, so that it does not become another user's in the same moment.
  const lockedWhere = (condition: SQL) => sql`select chats.title ${chosen}${condition} for share`;
  const facts = sql`(exists (select 1 ${chosen}))::int seen, (exists (table source))::int found`;
  const forkOf = (source: SQL) => sql`insert into ${chats} (id, user_id, title)
select ${newChatId}, ${userId}, coalesce(${title ?? null}, source.title) from ${source} on conflict (id) do nothing returning ${returnedChatRow(settings)} chat`;
  const copyWhen = (when: SQL) => sql`insert into ${messages} (chat_id, id, "order", role, parts, metadata, created_at)
select ${newChatId}, m.id, m."order", m.role, m.parts, m.metadata, m.created_at from ${messages} m
where m.chat_id = ${chatId}${throughMessageId === undefined ? sql`` : sql` and m."order" <= ${last}`} and ${when}`;

  // A policy does not see a chat that the same statement creates, and refuses its messages.
  const oneByOne = settings.portable || settings.rowLevelSecurity;
  return asUser(db, { userId }, settings, (db) =>
    retryOvertaken(db, async (attempt) => {
      const { seen, found, chat } = await fork(db, attempt);
      if (chat) return parseChat(chat);
      if (!seen) return null;
      if (found) await refuseTaken(db);
      return undefined;
    }),
  );

  /** From the second attempt on with the chat locked before it is read: on a busy chat the one statement is overtaken again. */
  function fork(db: ChatDatabase, attempt: number): Promise<Forked> {
    if (oneByOne) return inTransaction(db, forkOneByOne);
    if (attempt === 1) return forkInOneStatement(db);
    return inTransaction(db, forkOneByOne, () => forkInOneStatement(db));
  }

  /**
   * `copied` sees the messages of the statement's snapshot, also if `source` has waited for another writer. So `source` gives the chat's
   * row only in the version of that snapshot: who changes messages makes it another one.
   */
  async function forkInOneStatement(db: ChatDatabase): Promise<Forked> {
    const [forked] = await execute<Forked>(db, {
      with: {
        source: lockedWhere(sql` and chats.xmin = (select chats.xmin ${chosen})`),
        forked: forkOf(sql`source`),
        copied: copyWhen(sql`exists (table forked)`),
        found: sql`select ${facts}, (select chat from forked) chat`,
      },
      select: columnsNamed("seen", "found", "chat"),
      from: sql`found`,
    });
    return forked ?? nothing;
  }

  /** What comes after the lock sees what was committed while it waited. */
  async function forkOneByOne(tx: ChatDatabase): Promise<Forked> {
    const locked = await lock(tx);
    if (!locked.found) return locked;
    const [forked] = await executeChange<{ chat: string }>(
      tx,
      forkOf(sql`(select chats.title ${chosen}) source`),
      "chat",
    );
    // The new id is taken, or the message was deleted while the lock waited for that.
    if (!forked) return lock(tx);
    await executeChange(tx, copyWhen(sql`true`));
    return { ...locked, chat: forked.chat };
  }

  async function lock(tx: ChatDatabase): Promise<Forked> {
    const [locked] = await execute<Omit<Forked, "chat">>(tx, {
      with: { source: lockedWhere(sql``), found: sql`select ${facts}` },
      select: columnsNamed("seen", "found"),
      from: sql`found`,
    });
    return { ...nothing, ...locked };
  }

  /** Throws if there is a chat under the new id. Policies hide other users' chats, which are there all the same. */
  async function refuseTaken(db: ChatDatabase): Promise<void> {
    const [taken] = await execute<{ version: number; owned: 0 | 1 }>(db, {
      with: {
        taken: sql`select chats.version, (${ownedBy(chats, userId)})::int owned from ${chats} where chats.id = ${newChatId}`,
      },
      select: columnsNamed("version", "owned"),
      from: sql`taken`,
    });
    if (taken?.owned) {
      throw new ChatConflictError({
        reason: "id-taken",
        chatId: newChatId,
        expectedVersion: null,
        actualVersion: taken.version,
      });
    }
    if (taken || settings.rowLevelSecurity) throw new ChatOwnershipError({ chatId: newChatId });
  }
}

interface Forked {
  /** Whether there was such a chat, and in it such a message, and whether it was locked as it was seen. */
  seen: 0 | 1;
  found: 0 | 1;
  /** Null if the new id is taken. */
  chat: string | null;
}

const nothing: Forked = { seen: 0, found: 0, chat: null };

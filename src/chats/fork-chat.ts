import type { SQL } from "drizzle-orm";
import { parseChat, returnedChatJson } from "../conversation/chat-row.ts";
import type { Context } from "../database/context.ts";
import { query, write } from "../database/query.ts";
import { retryOnConflict, type WriteConflict, writeConflict } from "../database/retry-on-conflict.ts";
import { sql } from "../database/sql.ts";
import { inTransaction } from "../database/transaction.ts";
import { ChatConflictError, ChatOwnershipError } from "../errors/errors.ts";
import type { forkChatInput, Parsed } from "../input.ts";
import { ownedBy } from "../schema.ts";
import type { Chat } from "../types.ts";

export async function forkChat(
  context: Context,
  { userId, chatId, newChatId, throughMessageId, title }: Parsed<typeof forkChatInput>,
): Promise<Chat | null> {
  const { settings, tables } = context;
  const { chats, messages } = tables;

  const lastOrder = sql`
    (select l."order" from ${messages} l where l.chat_id = ${chatId} and l.id = ${throughMessageId})`;
  const andMessageExists = throughMessageId === undefined ? sql`` : sql`and exists ${lastOrder}`;
  const andThroughMessage = throughMessageId === undefined ? sql`` : sql`and m."order" <= ${lastOrder}`;
  const fromChat = sql`from ${chats} where chats.id = ${chatId} and ${ownedBy(chats, userId)} ${andMessageExists}`;
  /** Locked, so that no other user claims the chat in the same moment. */
  const lockedChat = (condition: SQL) => sql`select chats.title ${fromChat} ${condition} for share`;
  /** Whether the chat and its message exist, and whether `locked_chat` holds the row. */
  const exists = sql`(exists (select ${fromChat}))::int`;
  const isLocked = sql`(exists (table locked_chat))::int`;
  const insertFork = (source: SQL) => sql`
    insert into ${chats} (id, user_id, title)
    select ${newChatId}, ${userId}, coalesce(${title ?? null}, source.title)
    from ${source} source
    on conflict (id) do nothing
    returning ${returnedChatJson(settings)} as chat`;
  const insertMessages = (when: SQL) => sql`
    insert into ${messages} (chat_id, id, "order", role, parts, metadata, created_at)
    select ${newChatId}, m.id, m."order", m.role, m.parts, m.metadata, m.created_at
    from ${messages} m
    where m.chat_id = ${chatId} ${andThroughMessage} and ${when}`;

  return retryOnConflict(context, async (attempt): Promise<Chat | null | WriteConflict> => {
    const { exists, isLocked, chat } = await fork(attempt);
    if (chat) return parseChat(chat);
    if (!exists) return null;
    if (isLocked) await refuseTakenId();
    return writeConflict;
  });

  /**
   * From the second attempt on, locks the chat before it is read: on a busy chat the one statement would lose again.
   */
  function fork(attempt: number): Promise<Fork> {
    // A policy does not see a chat that the same statement creates, and refuses its messages.
    if (settings.portable || settings.rowLevelSecurity) return inTransaction(context, forkInStatements);
    if (attempt === 1) return forkInOneStatement();
    return inTransaction(context, forkInStatements, forkInOneStatement);
  }

  /**
   * `copied_messages` sees the messages of the statement's snapshot, even if `locked_chat` had to wait for another
   * writer. So `locked_chat` matches only the row version of that snapshot: every writer of messages changes it.
   */
  async function forkInOneStatement(): Promise<Fork> {
    const [outcome] = await query<Fork>(context, {
      ctes: {
        locked_chat: lockedChat(sql`and chats.xmin = (select chats.xmin ${fromChat})`),
        new_chat: insertFork(sql`locked_chat`),
        copied_messages: insertMessages(sql`exists (table new_chat)`),
        outcome: sql`
          select ${exists} as "exists", ${isLocked} as "isLocked", (select chat from new_chat) as chat`,
      },
      columns: ["exists", "isLocked", "chat"],
      from: sql`outcome`,
    });
    return outcome ?? notFound;
  }

  /** The statements after the lock see everything that was committed while it waited. */
  async function forkInStatements(context: Context): Promise<Fork> {
    const locked = await lock(context);
    if (!locked.isLocked) return locked;
    const [created] = await write<{ chat: string }>(context, insertFork(sql`(select chats.title ${fromChat})`), "chat");
    // The new id is taken, or the message was deleted while the insert waited.
    if (!created) return lock(context);
    await write(context, insertMessages(sql`true`));
    return { ...locked, chat: created.chat };
  }

  async function lock(context: Context): Promise<Fork> {
    const [locked] = await query<Omit<Fork, "chat">>(context, {
      ctes: {
        locked_chat: lockedChat(sql``),
        outcome: sql`select ${exists} as "exists", ${isLocked} as "isLocked"`,
      },
      columns: ["exists", "isLocked"],
      from: sql`outcome`,
    });
    return { ...notFound, ...locked };
  }

  /** Throws if a chat has the new id. */
  async function refuseTakenId(): Promise<void> {
    const [taken] = await query<{ version: number; owned: 0 | 1 }>(context, {
      columns: { version: sql`chats.version`, owned: sql`(${ownedBy(chats, userId)})::int` },
      from: sql`${chats} where chats.id = ${newChatId}`,
    });
    if (taken?.owned) {
      throw new ChatConflictError({
        reason: "id-taken",
        chatId: newChatId,
        expectedVersion: null,
        actualVersion: taken.version,
      });
    }
    // Policies hide the chats of other users, which still have their ids.
    if (taken || settings.rowLevelSecurity) throw new ChatOwnershipError({ chatId: newChatId });
  }
}

interface Fork {
  /** Whether the user has such a chat with such a message. */
  exists: 0 | 1;
  /** Whether it was locked in the version in which it was found. */
  isLocked: 0 | 1;
  /** Null if the new id is taken. */
  chat: string | null;
}

const notFound: Fork = { exists: 0, isLocked: 0, chat: null };

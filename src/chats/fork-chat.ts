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
  // Locked, so that it does not become somebody else's in the same moment.
  const source = sql`select chats.title ${chosen} for share`;
  const facts = sql`(exists (select 1 ${chosen}))::int seen, (exists (table source))::int found`;
  const forkOf = (source: SQL) => sql`insert into ${chats} (id, user_id, title)
select ${newChatId}, ${userId}, coalesce(${title ?? null}, source.title) from ${source} on conflict do nothing returning ${returnedChatRow(settings)} chat`;
  const copyWhen = (when: SQL) => sql`insert into ${messages} (chat_id, id, "order", role, parts, metadata, created_at)
select ${newChatId}, m.id, m."order", m.role, m.parts, m.metadata, m.created_at from ${messages} m
where m.chat_id = ${chatId}${throughMessageId === undefined ? sql`` : sql` and m."order" <= ${last}`} and ${when}`;

  // A policy does not see a chat that the same statement creates, and refuses its messages.
  const oneByOne = settings.portable || settings.rowLevelSecurity;
  return asUser(db, { userId }, settings, (db) =>
    retryOvertaken(db, async () => {
      const { seen, found, chat } = await (oneByOne ? inTransaction(db, forkOneByOne) : forkInOneStatement(db));
      if (chat) return parseChat(chat);
      if (!seen) return null;
      if (found) await refuseTaken(db);
      return undefined;
    }),
  );

  async function forkInOneStatement(db: ChatDatabase): Promise<Forked> {
    const [forked] = await execute<Forked>(db, {
      with: {
        source,
        forked: forkOf(sql`source`),
        copied: copyWhen(sql`exists (table forked)`),
        found: sql`select ${facts}, (select chat from forked) chat`,
      },
      select: columnsNamed("seen", "found", "chat"),
      from: sql`found`,
    });
    return forked ?? nothing;
  }

  async function forkOneByOne(tx: ChatDatabase): Promise<Forked> {
    const [locked] = await execute<Omit<Forked, "chat">>(tx, {
      with: { source, found: sql`select ${facts}` },
      select: columnsNamed("seen", "found"),
      from: sql`found`,
    });
    if (!locked?.found) return { ...nothing, ...locked };
    const [forked] = await executeChange<{ chat: string }>(
      tx,
      forkOf(sql`(select chats.title ${chosen}) source`),
      "chat",
    );
    if (forked) await executeChange(tx, copyWhen(sql`true`));
    return { ...locked, chat: forked?.chat ?? null };
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
        chatId: newChatId,
        expectedVersion: null,
        actualVersion: taken.version,
        isTaken: true,
      });
    }
    if (taken || settings.rowLevelSecurity) throw new ChatOwnershipError({ chatId: newChatId });
  }
}

interface Forked {
  /** Whether there was such a chat, and in it such a message, and whether it still was when it was locked. */
  seen: 0 | 1;
  found: 0 | 1;
  /** Null if the new id is taken. */
  chat: string | null;
}

const nothing: Forked = { seen: 0, found: 0, chat: null };

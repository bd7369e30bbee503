import type { Context } from "../database/context.ts";
import { query } from "../database/query.ts";
import { sql } from "../database/sql.ts";
import { ownedBy } from "../schema.ts";
import type { Chat } from "../types.ts";
import { chatJson, parseChat } from "./chat-row.ts";
import { batchesOf, insertable, onConflictUpdate } from "./diff-statements.ts";
import { deleteBranches, orderBefore } from "./keep-branch.ts";
import {
  commonPrefix,
  countOf,
  digestsFrom,
  digestsOf,
  type MessageDigests,
  orderAt,
  prefixHashes,
} from "./message-digests.ts";
import type { ConversationInput, MessageRow } from "./message-row.ts";

/** A statement that has written nothing, and the digests that it has found: null if the user has no such chat. */
interface Mismatch {
  chat: null;
  stored: MessageDigests | null;
}

/**
 * Appends the messages that the stored chat lacks, in one statement that sends the last messages, as many as
 * `guessTailLength` says, and a digest of everything before each of them. It writes only if the stored messages are one
 * of these beginnings. If it sends all messages, it can create the chat.
 */
export function appendMessages(context: Context, input: ConversationInput): Promise<{ chat: Chat } | Mismatch> {
  const { rows } = input;
  const start = rows.length - guessTailLength(rows);
  const beginnings = prefixHashes(digestsOf(rows), start).slice(0, -1);
  return writeTail(context, input, {
    start,
    expected: beginnings.map((hash, index) => ({ total: start + index, hash })),
  });
}

/**
 * Replaces the end of the chat, from the first message that differs on, in one statement that sends only the new end.
 * It writes only if the stored messages are still those that `appendMessages` has found. Null if that is not possible:
 * a message of the old end stays, so that only a diff tells what to write, or another writer came first.
 */
export async function replaceTail(
  context: Context,
  input: ConversationInput,
  stored: MessageDigests,
): Promise<Chat | null> {
  const wanted = digestsOf(input.rows);
  const start = commonPrefix(stored, wanted);
  const [oldTail, newTail] = [digestsFrom(stored, start), digestsFrom(wanted, start)];
  const isUnchanged = oldTail.length + newTail.length === 0;
  const oldDigests = new Set(oldTail);
  const isReplaced = !newTail.some((digest) => oldDigests.has(digest));
  // The statement finds the old end by its orders. They begin before `start` if an application's SQL has repeated one.
  const isFound = oldTail.length === 0 || orderAt(stored, start) >= start;
  if (isUnchanged || !isReplaced || !isFound || batchesOf(input.rows.slice(start)).length > 1) return null;

  const total = countOf(stored);
  const expected = prefixHashes(stored, total).map((hash) => ({ total, hash }));
  const { chat } = await writeTail(context, input, { start, expected, replaces: oldTail.length > 0 });
  return chat;
}

interface Tail {
  /** The position of the first message that is sent. */
  start: number;
  /** The states of the stored messages in which to write: their number, and the hash of their digests. */
  expected: { total: number; hash: string }[];
  /** Whether stored messages from `start` on are deleted or updated. */
  replaces?: boolean;
}

/**
 * Why this is safe beside other writers: every writer of messages updates the chat's row in the same transaction, and
 * all parts of a statement see the snapshot of its beginning. `updated_chat` matches only if the row still has the row
 * version (`xmin`) of that snapshot. If it matches, the messages of the snapshot are the current ones, and its lock
 * keeps other writers away until the commit. `created_chat` inserts a row or does nothing, and a chat that it has
 * inserted has no messages. Comparing `version` would not do: a chat that is deleted and created again while this
 * statement waits can have the same version.
 */
async function writeTail(
  context: Context,
  { userId, chatId, title, expectedVersion, rows }: ConversationInput,
  { start, expected, replaces = false }: Tail,
): Promise<{ chat: Chat } | Mismatch> {
  const { chats, messages } = context.tables;
  const tail = rows.slice(start).map((row, index) => ({ ...row, order: start + index }));
  const states = expected.map(({ total, hash }) => sql`(${total}::int,decode(${hash},'hex'))`);
  const isExpected = states.length === 0 ? sql`false` : sql`(total, sha256(digests)) in (${sql.join(states, sql`,`)})`;
  // A policy does not see a chat that the same statement creates, and refuses its messages.
  const canCreate = start === 0 && expectedVersion === undefined && !replaces && !context.settings.rowLevelSecurity;

  const setTitle = title === undefined ? sql`` : sql`title = ${title}, `;
  const andExpectedVersion = expectedVersion === undefined ? sql`` : sql`and chats.version = ${expectedVersion}::int`;
  const savedChat = canCreate ? sql`(table updated_chat union all table created_chat) saved_chat` : sql`updated_chat`;
  const { columns, source } = insertable(tail);
  const isUpdated = sql`exists (table updated_chat)`;
  const tailIds = sql`(select json_array_elements_text(${JSON.stringify(tail.map(({ id }) => id))}::text::json))`;
  const isRemoved = sql`m.chat_id = ${chatId} and m."order" >= ${start}::int and m.id not in ${tailIds}`;
  const isBehindRemoved = sql`${orderBefore(context.tables, chatId)} >= ${start}::int and b.after_id not in ${tailIds}`;
  const andMissing = replaces ? sql`` : sql`where position >= total`;

  const [result] = await query<{ chat: string | null; digests: string | null }>(context, {
    ctes: {
      current_chat: sql`
        select chats.id, chats.xmin as row_version
        from ${chats}
        where chats.id = ${chatId} and ${ownedBy(chats, userId)}`,
      stored_messages: sql`
        select
          count(*)::int as total,
          coalesce(string_agg(int4send(m."order") || m.digest, '' order by m."order"), '') as digests
        from ${messages} m
        where m.chat_id = (select id from current_chat)`,
      updated_chat: sql`
        update ${chats}
        set ${setTitle}version = chats.version + 1, updated_at = greatest(chats.updated_at, now())
        where
          chats.id = ${chatId}
          and chats.xmin = (select row_version from current_chat, stored_messages where ${isExpected})
          ${andExpectedVersion}
        returning ${chatJson} as chat`,
      ...(canCreate && {
        created_chat: sql`
          insert into ${chats} (id, user_id, title)
          select ${chatId}, ${userId}, ${title ?? ""}
          where not exists (select from current_chat)
          on conflict (id) do nothing
          returning ${chatJson} as chat`,
      }),
      ...(replaces && { deleted_messages: sql`delete from ${messages} m where ${isRemoved} and ${isUpdated}` }),
      ...(replaces &&
        context.settings.branches && {
          deleted_branches: deleteBranches(context.tables, chatId, isBehindRemoved, isUpdated),
        }),
      ...(tail.length > 0 && {
        written_messages: sql`
          insert into ${messages} (chat_id, id, "order", role, parts, metadata)
          select ${chatId}, ${columns}
          from ${savedChat}${source && sql`, stored_messages, ${source} ${andMissing}`}
          ${replaces ? onConflictUpdate : sql``}`,
      }),
    },
    columns: {
      chat: sql`chat`,
      digests: sql`case when chat is null and exists (table current_chat) then encode(digests,'base64') end`,
    },
    from: sql`stored_messages left join ${savedChat} on true`,
  });
  if (result?.chat) return { chat: parseChat(result.chat) };
  return { chat: null, stored: typeof result?.digests === "string" ? Buffer.from(result.digests, "base64") : null };
}

/**
 * How many messages to send: the last one, and those before it that together cost next to nothing. Often that is the
 * question to the last answer.
 */
function guessTailLength(rows: readonly MessageRow[]): number {
  let budget = 1_200;
  const sent = rows
    .slice(0, -1)
    .toReversed()
    .findIndex(({ parts, metadata }) => {
      // A message needs some 200 bytes besides its content.
      budget -= 200 + parts.length + (metadata?.length ?? 0);
      return budget < 0;
    });
  return sent === -1 ? rows.length : sent + 1;
}

import type { Context } from "../database/context.ts";
import { query } from "../database/query.ts";
import { sql } from "../database/sql.ts";
import { ownedBy } from "../schema.ts";
import type { Chat } from "../types.ts";
import { chatJson, parseChat } from "./chat-row.ts";
import { insertable } from "./diff-statements.ts";
import { type ChatDigests, digestsOf, parseDigests } from "./load-digests.ts";
import { type ConversationInput, type MessageRow, prefixDigests } from "./message-row.ts";

/**
 * Tries the most frequent save in one statement: appends the messages that the chat lacks. It sends the last messages,
 * as many as `guessTailLength` says, and a digest of everything before each of them. It writes only if the stored
 * messages are one of these beginnings, and creates the chat if it sends all messages. If it cannot append, it returns
 * what a diff needs.
 *
 * It is safe beside other writers because every writer of messages updates the chat's row in the same transaction, and
 * because all parts of a statement see the snapshot of its beginning. `updated_chat` matches only if the row still has
 * the row version (`xmin`) of that snapshot. If it matches, the messages of the snapshot are the current ones, and its
 * lock keeps other writers away until the commit. `created_chat` inserts a row or does nothing, and a chat that it has
 * inserted has no messages. Comparing `version` would not do: a chat that is deleted and created again while this
 * statement waits can have the same version.
 *
 * @returns the chat if it has all messages now, or else its digests. Both are null if the user has no such chat.
 */
export async function appendMessages(
  context: Context,
  { userId, chatId, title, expectedVersion, rows }: ConversationInput,
): Promise<{ chat: Chat; stored?: undefined } | { chat: null; stored: ChatDigests | null }> {
  const { chats, messages } = context.tables;
  const start = rows.length - guessTailLength(rows);
  const tail = rows.slice(start).map((row, index) => ({ ...row, order: start + index }));
  const beginnings = prefixDigests(rows, start).map(
    (digest, index) => sql`(${start + index}::int,decode(${digest},'hex'))`,
  );
  const lacking = beginnings.slice(0, -1);
  const canAppend = lacking.length === 0 ? sql`false` : sql`(total, prefix_digest) in (${sql.join(lacking, sql`,`)})`;
  const isComplete = sql`(total, prefix_digest) = ${beginnings.at(-1)}`;
  // A policy does not see a chat that the same statement creates, and refuses its messages.
  const canCreate = start === 0 && expectedVersion === undefined && !context.settings.rowLevelSecurity;

  const setTitle = title === undefined ? sql`` : sql`title = ${title},`;
  const andExpectedVersion = expectedVersion === undefined ? sql`` : sql`and chats.version = ${expectedVersion}::int`;
  const andSameTitle = title === undefined ? sql`` : sql`and current_chat.title = ${title}`;
  const { columns, source } = insertable(tail);

  const [result] = await query<AppendResult>(context, {
    ctes: {
      current_chat: sql`
        select chats.id, chats.title, chats.xmin as row_version, ${chatJson} as chat
        from ${chats}
        where chats.id = ${chatId} and ${ownedBy(chats, userId)}`,
      // One digest over all stored messages, to compare with the digests of the beginnings of `rows`.
      stored_messages: sql`
        select
          count(*)::int as total,
          sha256(coalesce(string_agg(int4send(m."order") || m.digest, '' order by m."order"), '')) as prefix_digest
        from ${messages} m
        where m.chat_id = (select id from current_chat)`,
      updated_chat: sql`
        update ${chats}
        set ${setTitle} version = chats.version + 1, updated_at = greatest(chats.updated_at, now())
        where
          chats.id = ${chatId}
          and chats.xmin = (select row_version from current_chat, stored_messages where ${canAppend})
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
      saved_chat: canCreate ? sql`table updated_chat union all table created_chat` : sql`table updated_chat`,
      ...(tail.length > 0 && {
        inserted_messages: sql`
          insert into ${messages} (chat_id, id, "order", role, parts, metadata)
          select ${chatId}, ${columns}
          from saved_chat ${source && sql`, stored_messages, ${source} where incoming.position >= total`}`,
      }),
      outcome: sql`
        select
          current_chat.row_version::text as row_version,
          coalesce(saved_chat.chat, current_chat.chat) as chat,
          saved_chat.chat is null and not (${isComplete} ${andSameTitle}) as needs_diff
        from stored_messages left join current_chat on true left join saved_chat on true`,
    },
    columns: {
      chat: sql`chat`,
      rowVersion: sql`row_version`,
      digests: sql`case when needs_diff then coalesce(${digestsOf(messages, chatId)}, '[]') end`,
    },
    from: sql`outcome`,
  });
  if (!result?.chat) return { chat: null, stored: null };
  const { chat, rowVersion, digests } = result;
  return rowVersion === null || digests === null
    ? { chat: parseChat(chat) }
    : { chat: null, stored: parseDigests({ chat, rowVersion, digests }) };
}

interface AppendResult {
  chat: string | null;
  rowVersion: string | null;
  /** Null if the chat has all messages now. */
  digests: string | null;
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

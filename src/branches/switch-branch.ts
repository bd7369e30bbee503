import { randomUUID } from "node:crypto";
import type { SQL } from "drizzle-orm";
import { branchMessages } from "../conversation/branch-points.ts";
import { parseChat } from "../conversation/chat-row.ts";
import { closeApprovals } from "../conversation/close-calls.ts";
import { guardedWrite } from "../conversation/guarded-write.ts";
import { insertBranch, orderBefore } from "../conversation/keep-branch.ts";
import { currentChat } from "../conversation/loaded-rows.ts";
import type { MessageDiff } from "../conversation/message-diff.ts";
import { retryWithLock } from "../conversation/retry-with-lock.ts";
import { isRecoverable, mayStillEnd } from "../conversation/turn-liveness.ts";
import type { Context } from "../database/context.ts";
import { query } from "../database/query.ts";
import { writeConflict } from "../database/retry-on-conflict.ts";
import { asUser } from "../database/row-level-security.ts";
import { sql } from "../database/sql.ts";
import { InvalidChatError, versionConflict } from "../errors/errors.ts";
import type { Parsed, switchBranchInput } from "../input.ts";
import type { ChatTables } from "../schema.ts";
import type { Chat } from "../types.ts";

type SwitchInput = Parsed<typeof switchBranchInput>;

/**
 * @param recoverTurns - stores the recordings of dead turns as their answers. Otherwise a switch would take their
 * questions away from them, and lose the words.
 */
export const createSwitchBranch =
  (recoverTurns: (context: Context, ids: ChatIds) => Promise<{ chat: Chat } | null>) =>
  async (context: Context, input: SwitchInput): Promise<Chat | null> => {
    const switched = await switchBranch(context, input, { besideDeadTurn: false });
    if (switched !== deadTurn) return switched;
    const recovered = await recoverTurns(context, input);
    // The version was the expected one before the recording was stored.
    const expectedVersion = input.expectedVersion && recovered?.chat.version;
    const outcome = await switchBranch(context, { ...input, expectedVersion }, { besideDeadTurn: true });
    return outcome === deadTurn ? null : outcome;
  };

/** A turn is dead, and its recording is not its answer yet. */
const deadTurn = Symbol("dead turn");

interface ChatIds {
  userId: string;
  chatId: string;
}

function switchBranch(
  context: Context,
  { userId, chatId, branchId, expectedVersion }: SwitchInput,
  { besideDeadTurn }: { besideDeadTurn: boolean },
): Promise<Chat | null | typeof deadTurn> {
  const ids = { userId, chatId };
  return asUser(context, { userId }, (context) =>
    retryWithLock(context, ids, async (context) => {
      const found = await findBranch(context, ids, branchId);
      if (!found) return null;
      const { stored, branch } = found;
      if (expectedVersion !== undefined && expectedVersion !== stored.chat.version) {
        throw versionConflict({ chatId, expectedVersion, actualVersion: stored.chat.version });
      }
      if (!branch) return null;
      if (branch.hasDeadTurn && !besideDeadTurn) return deadTurn;
      const written = await guardedWrite(context, {
        ...ids,
        stored,
        diff: noDiff,
        isNewVersion: true,
        alsoWrite: (when) => switchStatements(context.tables, chatId, branch, when),
      });
      return written === writeConflict ? writeConflict : written.chat;
    }),
  );
}

const noDiff: MessageDiff = { removed: [], moved: [], written: [], firstReplaced: 0, isEmpty: true };

interface FoundBranch {
  id: string;
  afterId: string | null;
  /** The order of the message after which it stood; -1 at the beginning of the chat. */
  afterOrder: number;
  /** Its messages whose calls have to be closed, with their new parts. */
  closed: { id: string; parts: string }[];
}

interface Found {
  stored: { chat: Chat; rowVersion: string };
  /** Null if the conversation has no such branch. */
  branch: (FoundBranch & { hasDeadTurn: boolean }) | null;
}

/**
 * A branch behind a message of the conversation.
 *
 * @throws {InvalidChatError} a message of the branch stands before it by now, as your own save has put it there.
 */
async function findBranch(context: Context, ids: ChatIds, branchId: string): Promise<Found | undefined> {
  const { chats, messages, turns, branches } = context.tables;
  const [found] = await query<{
    chat: string;
    rowVersion: string;
    id: string | null;
    afterId: string | null;
    afterOrder: number | null;
    openMessages: string | null;
    isTaken: 0 | 1;
    hasDeadTurn: 0 | 1;
  }>(context, {
    ctes: { current_chat: currentChat(chats, ids) },
    columns: {
      chat: sql`current_chat.chat`,
      rowVersion: sql`current_chat.row_version`,
      id: sql`b.id::text`,
      afterId: sql`b.after_id`,
      afterOrder: sql`case when b.after_id is null then -1 else m."order" end`,
      // Seldom are there any, and the content may be long.
      openMessages: sql`case when b.messages::text ~ 'approval-responded|preliminary' then b.messages::text end`,
      isTaken: sql`(
        exists (
          select
          from json_array_elements(b.messages) e (message)
          -- The limit makes Postgres look each message up.
          cross join lateral (
            select
            from ${messages} earlier
            where earlier.chat_id = b.chat_id and earlier.id = e.message->>0 and earlier."order" <= m."order"
            limit 1
          ) taken
        )
      )::int`,
      // Of a question that leaves, or that the alternatives follow.
      hasDeadTurn: sql`(
        exists (
          select
          from ${turns} t
          left join ${messages} q on q.chat_id = t.chat_id and q.id = t.question_id
          where
            t.chat_id = b.chat_id
            and ${isRecoverable}
            and (q.id = b.after_id or q."order" > coalesce(m."order", -1))
        )
      )::int`,
    },
    from: sql`
      current_chat
      left join ${branches} b on b.chat_id = ${ids.chatId} and b.id = ${uuidOf(branchId)}::uuid and b.parent is null
      left join ${messages} m on m.chat_id = b.chat_id and m.id = b.after_id`,
  });
  if (!found) return undefined;
  const { id, afterId, afterOrder, openMessages } = found;
  const stored = { chat: parseChat(found.chat), rowVersion: found.rowVersion };
  if (id === null || afterOrder === null) return { stored, branch: null };
  if (found.isTaken) {
    const message = "is a branch with a message that stands earlier in the conversation by now; load the chat again";
    throw new InvalidChatError([{ path: ["branchId"], message }]);
  }
  const closed = openMessages === null ? [] : closedIn(openMessages);
  return { stored, branch: { id, afterId, afterOrder, closed, hasDeadTurn: found.hasDeadTurn === 1 } };
}

/** Null if it is none: Postgres would refuse it. */
const uuidOf = (text: string) => (/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(text) ? text : null);

/** From ai 6 on, an approval on which no turn has acted would keep the model from being called. No turn acts on these. */
function closedIn(messages: string): FoundBranch["closed"] {
  return branchMessages(messages).flatMap((row) => {
    const closed = closeApprovals(row);
    return closed === row ? [] : [{ id: row.id, parts: closed.parts }];
  });
}

/**
 * The statements that put the messages of a branch in the place of those that follow the message behind which it stood,
 * and keep these as a branch. Each statement is one that the ones after it must not have come before: in portable mode they run one by one.
 */
function switchStatements(tables: ChatTables, chatId: string, branch: FoundBranch, when: SQL): SQL[] {
  const { branches, messages } = tables;
  const { afterId, afterOrder } = branch;
  const newId = randomUUID();
  const isLeaving = sql`m."order" > ${afterOrder}::int`;
  const leavingIds = sql`select m.id from ${messages} m where m.chat_id = ${chatId} and ${isLeaving}`;
  const comingIds = sql`
    select e.message->>0
    from ${branches} b, json_array_elements(b.messages) e (message)
    where b.chat_id = ${chatId} and b.id = ${branch.id}::uuid`;
  return [
    // Also if nothing stands there, or the alternatives would get other numbers.
    insertBranch(tables, { chatId, id: newId, afterId: sql`${afterId}::text`, isKept: isLeaving }, when),
    // What hangs on a message moves with it.
    sql`
      update ${branches} b
      set parent = ${newId}::uuid
      where
        b.chat_id = ${chatId}
        and b.parent is null
        and ${orderBefore(tables, chatId)} > ${afterOrder}::int
        and ${when}`,
    sql`
      update ${branches} b
      set parent = null
      where b.chat_id = ${chatId} and b.parent = ${branch.id}::uuid and ${when}`,
    ...turnStatements(tables, chatId, { afterId, leavingIds, comingIds }, when),
    sql`
      delete from ${messages} m
      where m.chat_id = ${chatId} and ${isLeaving} and m.id not in (${comingIds}) and ${when}`,
    restoreMessages(tables, chatId, branch, when),
    sql`
      delete from ${branches} b
      where b.chat_id = ${chatId} and b.id = ${branch.id}::uuid and ${when}`,
  ];
}

/** Supersedes turns whose question or answer leaves. Of others, the answer also replaces what it would have replaced. */
function turnStatements(
  { turns }: ChatTables,
  chatId: string,
  { afterId, leavingIds, comingIds }: { afterId: string | null; leavingIds: SQL; comingIds: SQL },
  when: SQL,
): SQL[] {
  const isOfLeaving = sql`(t.question_id in (${leavingIds}) or t.answer_id in (${leavingIds}))`;
  return [
    sql`
      update ${turns} t
      set superseded = true, stop = true
      where t.chat_id = ${chatId} and ${mayStillEnd} and ${isOfLeaving} and ${when}`,
    sql`
      update ${turns} t
      set replaces = (t.replaces::jsonb || array_to_json(array(${comingIds}))::jsonb)::json
      where
        t.chat_id = ${chatId}
        and ${mayStillEnd}
        and not ${isOfLeaving}
        -- The others of a branch that comes back were added to it while the turn ran, and stay.
        and not exists (select from json_array_elements_text(t.replaces) r (id) where r.id in (${comingIds}))
        and (
          t.question_id = ${afterId}::text
          or exists (
            select
            from json_array_elements_text(t.replaces) r (id)
            where r.id = ${afterId}::text or r.id in (${leavingIds})
          )
        )
        and ${when}`,
  ];
}

/** The time, the digest and everything else are as they were. */
function restoreMessages(
  { branches, messages }: ChatTables,
  chatId: string,
  { id, afterOrder, closed }: FoundBranch,
  when: SQL,
): SQL {
  const parts = closed.length === 0 ? sql`kept.parts` : sql`coalesce(closed.parts, kept.parts)`;
  const joinClosed = sql`
    left join json_to_recordset(${JSON.stringify(closed)}::text::json) closed (id text, parts text) on closed.id = kept.id`;
  return sql`
    insert into ${messages} (chat_id, id, "order", role, parts, metadata, created_at)
    select
      ${chatId}, kept.id, ${afterOrder}::int + kept.number::int, kept.role, ${parts}::json, kept.metadata::json,
      to_timestamp(kept.created_at::float8)
    from (
      select
        e.number, e.message->>0 as id, e.message->>1 as role, e.message->>2 as parts, e.message->>3 as metadata,
        e.message->>4 as created_at
      from ${branches} b, json_array_elements(b.messages) with ordinality e (message, number)
      where b.chat_id = ${chatId} and b.id = ${id}::uuid
    ) kept
    ${closed.length === 0 ? sql`` : joinClosed}
    where ${when}
    on conflict (chat_id, id) do update
    set
      "order" = excluded."order", role = excluded.role, parts = excluded.parts, metadata = excluded.metadata,
      created_at = excluded.created_at`;
}

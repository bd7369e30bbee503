import type { Context } from "../database/context.ts";
import { query } from "../database/query.ts";
import { sql } from "../database/sql.ts";
import type { Actor } from "../schema.ts";
import type { Chat } from "../types.ts";
import { type StoredBranch, unionWholeBranches, wholeBranchesIn } from "./branch-points.ts";
import { parseChat } from "./chat-row.ts";
import { currentChat, type LoadedRow, loadedColumns, messagesIn, type StoredMessage } from "./loaded-rows.ts";
import { type RunningTurn, runningTurnsIn, unionTurns } from "./running-turns.ts";

/** A chat with its messages, or with the last of them. */
export interface StoredChat {
  chat: Chat;
  /** The row's `xmin`, which changes with every update of the row, and when the chat is deleted and created again. */
  rowVersion: string;
  /** In order. Messages that were loaded with their content have no digest. */
  rows: StoredMessage[];
  /** The order that the first of `rows` has or should have: 0, unless the chat was loaded from a later message on. */
  firstOrder: number;
  /** The turns that run, or seem to, if the chat was loaded `forTurn`. */
  turns: RunningTurn[];
  /** Whether the chat has rows of turns, also of turns that are over. */
  hasTurnRows: boolean;
}

/** Loads a chat and its messages, if the actor has access to it. */
export async function loadChat(
  context: Context,
  actor: Actor & { chatId: string },
  { forTurn = false, withBranches = false } = {},
): Promise<(StoredChat & { branches: StoredBranch[] }) | null> {
  const { chats, messages, turns, branches } = context.tables;
  const { chatId } = actor;
  // One statement sees one snapshot: two could combine a title with the messages of another version. The chat is a row
  // of its own, because repeating it with each message costs more. JSON is read as text: drivers parse JSON null and
  // SQL NULL to the same null, and an application may have given its driver another parser.
  const loaded = await query<LoadedRow>(context, {
    ctes: {
      current_chat: currentChat(chats, actor),
    },
    columns: loadedColumns,
    from: sql`
      (
        select
          'message' as kind, null as data,
          m.id, m.role, m.parts::text, m.metadata::text, m."order", '' as digest
        from ${messages} m
        where m.chat_id = ${chatId} and exists (table current_chat)
        union all
        select 'chat', json_build_array(chat, row_version)::text, null, null, null, null, 0, null
        from current_chat
        ${forTurn ? unionTurns(turns, chatId) : sql``}${withBranches ? unionWholeBranches(branches, chatId) : sql``}
      ) loaded`,
  });
  const row = loaded.find(({ kind }) => kind === "chat");
  if (!row) return null;
  const [chat, rowVersion]: [string, string] = JSON.parse(row.data);
  return {
    chat: parseChat(chat),
    rowVersion,
    rows: messagesIn(loaded),
    firstOrder: 0,
    ...runningTurnsIn(loaded),
    branches: wholeBranchesIn(loaded),
  };
}

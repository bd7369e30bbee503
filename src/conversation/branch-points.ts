import type { SQL } from "drizzle-orm";
import { sql } from "../database/sql.ts";
import type { ChatTables } from "../schema.ts";
import type { Branch, BranchPoint } from "../types.ts";
import type { LoadedRow } from "./loaded-rows.ts";
import type { MessageRow } from "./message-row.ts";

/**
 * The points of `current_chat` at which it has branches, as rows of a statement that loads it. The content of the
 * branches is not read: it may be much longer than the conversation.
 */
export const pointRows = ({ branches, messages }: ChatTables, chatId: string): SQL => sql`
  select
    'point' as kind, point.branches::text as data,
    point.after_id as id, null as role, null as parts, null as metadata, coalesce(m."order", -1) as "order",
    null as digest
  from (
    select
      b.after_id,
      json_agg(
        json_build_array(b.id, b.position, extract(epoch from b.created_at) * 1000, b.message_count)
        order by b.position
      ) as branches
    from ${branches} b
    where b.chat_id = ${chatId} and b.parent is null and exists (table current_chat)
    group by b.after_id
  ) point
  left join ${messages} m on m.chat_id = ${chatId} and m.id = point.after_id
  where point.after_id is null or m.id is not null`;

type PointData = [id: string, position: number, createdAt: number, messageCount: number][];

/** The points at which the conversation has alternatives, in its order. */
export const branchPointsIn = (rows: readonly LoadedRow[]): BranchPoint[] =>
  rows
    .filter(({ kind }) => kind === "point")
    .sort((a, b) => a.order - b.order)
    .map(({ id: afterMessageId, data }) => {
      const branches = (JSON.parse(data) as PointData).map(([id, position, createdAt, messageCount]) => ({
        id,
        position,
        createdAt: new Date(createdAt),
        messageCount,
      }));
      const position = smallestFree(branches.map(({ position }) => position));
      return { afterMessageId, position, count: branches.length + 1, branches };
    });

/** A branch with its messages. */
export interface StoredBranch extends Branch {
  afterMessageId: string | null;
  /** The branch that has that message; null if the conversation has it. */
  parentId: string | null;
  rows: MessageRow[];
}

/** One more kind of row for a statement that loads the chat `current_chat`: all its branches, with their messages. */
export const unionWholeBranches = (branches: ChatTables["branches"], chatId: string): SQL => sql`
  union all
  select
    'branch',
    json_build_array(
      b.id, b.after_id, b.position, extract(epoch from b.created_at) * 1000, b.message_count, b.parent
    )::text,
    null, null, b.messages::text, null, 0, null
  from ${branches} b
  where b.chat_id = ${chatId} and exists (table current_chat)`;

type BranchData = [
  id: string,
  afterMessageId: string | null,
  position: number,
  createdAt: number,
  messageCount: number,
  parentId: string | null,
];

/** Oldest first. */
export const wholeBranchesIn = (rows: readonly LoadedRow[]): StoredBranch[] =>
  rows
    .filter(({ kind }) => kind === "branch")
    .map(({ data, parts }) => {
      const [id, afterMessageId, position, createdAt, messageCount, parentId]: BranchData = JSON.parse(data);
      const rows = branchMessages(parts);
      return { id, afterMessageId, parentId, position, createdAt: new Date(createdAt), messageCount, rows };
    })
    .sort((a, b) => a.createdAt.getTime() - b.createdAt.getTime());

/** The messages of a branch, from the text of its column. */
export const branchMessages = (messages: string): MessageRow[] =>
  (JSON.parse(messages) as [id: string, role: string, parts: string, metadata: string | null][]).map(
    ([id, role, parts, metadata]) => ({ id, role, parts, metadata, digest: "" }),
  );

/** The number of the current alternative: the statement that keeps it gives it the same. */
function smallestFree(taken: readonly number[]): number {
  let position = 1;
  while (taken.includes(position)) position += 1;
  return position;
}

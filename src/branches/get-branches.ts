import { branchPointsIn, pointRows } from "../conversation/branch-points.ts";
import { currentChat, type LoadedRow, loadedColumns } from "../conversation/loaded-rows.ts";
import type { Context } from "../database/context.ts";
import { query } from "../database/query.ts";
import { sql } from "../database/sql.ts";
import type { chatInput, Parsed } from "../input.ts";
import type { BranchPoint } from "../types.ts";

export async function getBranches(
  context: Context,
  { userId, chatId }: Parsed<typeof chatInput>,
): Promise<BranchPoint[]> {
  const { tables } = context;
  const rows = await query<LoadedRow>(context, {
    ctes: { current_chat: currentChat(tables.chats, { userId, chatId }) },
    columns: loadedColumns,
    from: sql`(${pointRows(tables, chatId)}) loaded`,
  });
  return branchPointsIn(rows);
}

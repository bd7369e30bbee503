import type { UIMessage } from "ai";
import { loadChat } from "../conversation/load-chat.ts";
import { toMessage } from "../conversation/message-row.ts";
import type { Context } from "../database/context.ts";
import { query } from "../database/query.ts";
import { asUser } from "../database/row-level-security.ts";
import { sql } from "../database/sql.ts";
import { parseInput } from "../errors/parse-input.ts";
import { withTypedErrors } from "../errors/typed-errors.ts";
import { userInput } from "../input.ts";
import { ownedBy } from "../schema.ts";
import type { ExportedChat } from "../types.ts";

/** Ids that are read at once. */
const pageLength = 1_000;

/**
 * Reads the chats in the order of their ids, which never change. In the order of activity it would skip a chat that is
 * saved meanwhile.
 */
export async function* exportChats<M extends UIMessage>(
  context: Context,
  input: unknown,
): AsyncGenerator<ExportedChat<M>, void, void> {
  const { userId } = parseInput(userInput, input);
  const read = <T>(work: (context: Context) => Promise<T>) =>
    withTypedErrors("exportChats", context.tables, asUser(context, { userId }, work));

  for (let after = ""; ; ) {
    const ids = await read((context) => pageOfIds(context, userId, after));
    for (const chatId of ids) {
      const stored = await read((context) =>
        loadChat(context, { userId, chatId }, { withBranches: context.settings.branches }),
      );
      // Null if the chat was deleted meanwhile.
      if (!stored) continue;
      const { chat, rows, branches } = stored;
      yield {
        ...chat,
        messages: rows.map((row) => toMessage<M>(row)),
        ...(branches.length > 0 && {
          branches: branches.map(({ rows, ...branch }) => ({
            ...branch,
            messages: rows.map((row) => toMessage<M>(row)),
          })),
        }),
      };
    }
    const last = ids.at(-1);
    if (last === undefined || ids.length < pageLength) return;
    after = last;
  }
}

async function pageOfIds(context: Context, userId: string, after: string): Promise<string[]> {
  const { chats } = context.tables;
  const rows = await query<{ id: string }>(context, {
    // `offset 0` makes Postgres find the user's chats first. Otherwise it might walk through the ids of all users.
    ctes: { user_chats: sql`select chats.id from ${chats} where ${ownedBy(chats, userId)} offset 0` },
    columns: ["id"],
    from: sql`user_chats where id > ${after} order by id limit ${pageLength}`,
  });
  return rows.map(({ id }) => id);
}

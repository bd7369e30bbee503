import { retryOvertaken } from "../database/retry-overtaken.ts";
import { asUser } from "../database/row-level-security.ts";
import { parseInput, stopTurnInput } from "../input.ts";
import type { ChatTables } from "../schema.ts";
import type { ChatDatabase, StopTurnInput, StoreSettings } from "../types.ts";
import { askToStop } from "./recordings.ts";

export async function stopTurn(
  db: ChatDatabase,
  tables: ChatTables,
  input: StopTurnInput,
  settings: StoreSettings,
): Promise<boolean> {
  const { userId, chatId, messageId } = parseInput(stopTurnInput, input);
  return asUser(db, { userId }, settings, (db) =>
    retryOvertaken(db, () => askToStop(db, tables, { userId, chatId }, messageId)),
  );
}

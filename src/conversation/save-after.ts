import { takeTurns } from "../conversation/take-turns.ts";
import { InvalidChatError, versionConflict } from "../errors.ts";
import type { ChatTables } from "../schema.ts";
import type { Chat, ChatDatabase, StoreSettings } from "../types.ts";
import { difference } from "./difference.ts";
import { loadWindow } from "./load-window.ts";
import type { Save } from "./messages.ts";
import { saveChange } from "./save-change.ts";

/**
 * Makes what follows a message the given ones. What is before it is neither read nor touched, so that who knows only the end of a chat
 * can save it.
 *
 * @throws {ChatConflictError}
 * @throws {InvalidChatError} there is no such message in a chat of this user, or one of the given ones is before it.
 */
export function saveAfter(
  db: ChatDatabase,
  tables: ChatTables,
  { after, title, expectedVersion, rows, ...ids }: Save & { after: string },
  settings: StoreSettings,
): Promise<Chat> {
  return takeTurns(db, tables, ids, settings, async (db) => {
    const candidates = rows.map(({ id }) => id);
    const stored = await loadWindow(db, tables, ids, { limit: 1, through: after, candidates });
    const at = stored?.isFound ? stored.rows.findIndex(({ id }) => id === after) : -1;
    if (stored && at !== -1) {
      const taken = candidates.findIndex((id) => stored.taken.includes(id));
      if (taken !== -1)
        throw refusal(
          ["messages", taken, "id"],
          "is the id of `after` or of one before it; expected those that follow",
        );
      const present = [...stored.rows.slice(0, at + 1), ...rows];
      const isSame = difference(stored.rows, present, stored.firstOrder).isEmpty;
      const newTitle = title === stored.chat.title ? undefined : title;
      if (isSame && newTitle === undefined) return stored.chat;
      if (expectedVersion === undefined || expectedVersion === stored.chat.version) {
        const saved = await saveChange(db, tables, { ...ids, newTitle, stored, rows: present }, settings);
        return saved?.chat;
      }
    }
    const actualVersion = stored?.chat.version ?? null;
    if (expectedVersion !== undefined && expectedVersion !== actualVersion) {
      throw versionConflict({ chatId: ids.chatId, expectedVersion, actualVersion });
    }
    throw refusal(["after"], "is the id of no message of this chat; expected one that is stored. Load the chat again");
  });
}

const refusal = (path: (string | number)[], message: string) => new InvalidChatError([{ path, message }]);

import type { Context } from "../database/context.ts";
import { type WriteConflict, writeConflict } from "../database/retry-on-conflict.ts";
import { ChatOwnershipError, InvalidChatError, versionConflict } from "../errors/errors.ts";
import type { Chat } from "../types.ts";
import { findOwner, guardedWrite } from "./guarded-write.ts";
import { type ChatDigests, loadDigests } from "./load-digests.ts";
import { type ChatWindow, loadWindow } from "./load-window.ts";
import { diffMessages, type MessageDiff } from "./message-diff.ts";
import type { ConversationInput, MessageRow } from "./message-row.ts";
import { retryWithLock } from "./retry-with-lock.ts";
import { appendMessages, replaceTail } from "./write-tail.ts";

/**
 * Replaces the stored conversation with `rows`. Tries three ways in order: to append the missing messages, in one
 * statement; to replace the end of the chat, in one more; and to load the digests of all messages and write the diff.
 * The cost is proportional to the change, not to the length of the chat.
 *
 * @throws {ChatOwnershipError}
 * @throws {ChatConflictError}
 */
export function saveConversation(context: Context, input: ConversationInput): Promise<Chat> {
  return retryWithLock(context, input, async (context) => {
    if (!context.settings.portable) {
      const appended = await appendMessages(context, input);
      if (appended.chat) return appended.chat;
      if (!appended.stored) return createChat(context, input);
      const replaced = await replaceTail(context, input, appended.stored);
      if (replaced) return replaced;
    }
    const stored = await loadDigests(context, input);
    if (!stored) return createChat(context, input);
    return writeDiff(context, input, stored, diffMessages(stored.rows, input.rows));
  });
}

/**
 * Replaces the messages that follow `after` with `rows`. Neither reads nor touches those before it, so that a client
 * that has loaded only the end of a chat can save it.
 *
 * @throws {ChatConflictError}
 * @throws {InvalidChatError} the user's chat has no message `after`, or one of `rows` stands before it.
 */
export function saveAfter(context: Context, { after, ...input }: ConversationInput & { after: string }): Promise<Chat> {
  const { chatId, expectedVersion, rows } = input;
  const ids = rows.map(({ id }) => id);
  return retryWithLock(context, input, async (context) => {
    const stored = await loadWindow(context, input, { limit: 1, upTo: after, idsToCheck: ids });
    const kept = stored && rowsUpTo(stored, after);
    if (!kept) {
      const actualVersion = stored?.chat.version ?? null;
      if (expectedVersion !== undefined && expectedVersion !== actualVersion) {
        throw versionConflict({ chatId, expectedVersion, actualVersion });
      }
      throw invalid(
        ["after"],
        "is the id of no message of this chat; expected one that is stored. Load the chat again",
      );
    }
    const taken = ids.findIndex((id) => stored.existingIds.includes(id));
    if (taken !== -1) {
      throw invalid(
        ["messages", taken, "id"],
        "is the id of `after` or of a message before it; expected the messages that follow",
      );
    }
    return writeDiff(context, input, stored, diffMessages(stored.rows, [...kept, ...rows], stored.firstOrder));
  });
}

/** Writes the diff, if there is one and the chat has the expected version. */
async function writeDiff(
  context: Context,
  { userId, chatId, title, expectedVersion }: ConversationInput,
  stored: ChatDigests | ChatWindow,
  diff: MessageDiff,
): Promise<Chat | WriteConflict> {
  const newTitle = title === stored.chat.title ? undefined : title;
  // A retry after a lost confirmation finds everything saved, and is no conflict.
  if (diff.isEmpty && newTitle === undefined) return stored.chat;
  if (expectedVersion !== undefined && expectedVersion !== stored.chat.version) {
    throw versionConflict({ chatId, expectedVersion, actualVersion: stored.chat.version });
  }
  const written = await guardedWrite(context, { userId, chatId, stored, diff, newTitle });
  return written === writeConflict ? writeConflict : written.chat;
}

async function createChat(
  context: Context,
  { userId, chatId, title, expectedVersion, rows }: ConversationInput,
): Promise<Chat | WriteConflict> {
  const create = (rows: readonly MessageRow[]) =>
    guardedWrite(context, { userId, chatId, title, stored: null, diff: diffMessages([], rows) });
  if (expectedVersion === undefined) {
    const written = await create(rows);
    return written === writeConflict ? writeConflict : written.chat;
  }
  // This user has no chat of that version: it is another user's, or there is none.
  const owner = await findOwner(context, { userId, chatId });
  // It was created since it was read.
  if (owner === "this user") return writeConflict;
  if (owner === "another user") throw new ChatOwnershipError({ chatId });
  // With policies only an insert tells whether a chat is hidden or missing. The error below rolls it back.
  if (context.settings.rowLevelSecurity && (await create([])) === writeConflict) return writeConflict;
  throw versionConflict({ chatId, expectedVersion, actualVersion: null });
}

function rowsUpTo({ rows }: ChatWindow, id: string): MessageRow[] | undefined {
  const at = rows.findIndex((row) => row.id === id);
  return at === -1 ? undefined : rows.slice(0, at + 1);
}

const invalid = (path: (string | number)[], message: string) => new InvalidChatError([{ path, message }]);

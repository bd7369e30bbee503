import { sqlStateOf } from "../database/sqlstate.ts";
import { inTransaction, isTransaction } from "../database/transaction.ts";
import { otherWritersCameFirst } from "../database/typed-errors.ts";
import { ChatStoreError } from "../errors.ts";
import type { ChatTables } from "../schema.ts";
import type { Chat, ChatDatabase, StoreSettings } from "../types.ts";
import { appendMessages } from "./append-messages.ts";
import { chunks } from "./difference.ts";
import type { MessageRow, Save } from "./messages.ts";
import { saveDifference, Unchanged } from "./save-difference.ts";
import { saveTail } from "./save-tail.ts";

/**
 * Makes the stored conversation the given one. Most saves add to its end, so one statement tries just that, carrying the
 * last message and a digest of all before it. Where it finds more than that to be different, another statement puts a new
 * end in place of the old; and what differs before the end is left to a transaction that locks the chat and writes the
 * difference. All cost what changed, not what is there.
 */
export async function saveChat(
  db: ChatDatabase,
  tables: ChatTables,
  save: Save,
  settings: StoreSettings,
): Promise<Chat> {
  for (let attempt = 1; ; attempt++) {
    try {
      const saved = settings.portable ? undefined : await saveEnd(db, tables, save, settings);
      return saved ?? (await rewrite(db, tables, save, settings));
    } catch (error) {
      // 40001: under REPEATABLE READ or SERIALIZABLE another writer came first. A caller's own transaction is lost then.
      const isRace = sqlStateOf(error) === "40001" && !ChatStoreError.isInstance(error);
      if (!isRace || isTransaction(db) || attempt === maxAttempts) throw error;
    }
  }
}

const maxAttempts = 10;

/** The common saves. Undefined when the difference is not just at the end, or another writer came in between. */
async function saveEnd(
  db: ChatDatabase,
  tables: ChatTables,
  save: Save,
  { rowLevelSecurity }: StoreSettings,
): Promise<Chat | undefined> {
  const { rows } = save;
  let length = likelyTail(rows);
  // A chat that is carried whole may be a new one, which cannot be appended to.
  if (length < rows.length) {
    const { chat, total } = await appendMessages(db, tables, save, length);
    if (chat) return chat;
    const missing = rows.length - total;
    if (missing > length) {
      if (chunks(rows.slice(-missing)).length > 1) return undefined;
      if (total > 0) return (await appendMessages(db, tables, save, missing)).chat;
      length = missing;
    }
  }
  // A policy does not see a chat that the same statement creates, and refuses its messages.
  if (rowLevelSecurity && length === rows.length) return undefined;
  return saveTail(db, tables, save, length);
}

/**
 * The last message, and those before it that together cost next to nothing to carry along: often that is the question to
 * the last answer. 200 bytes go with each body.
 */
function likelyTail(rows: readonly MessageRow[]): number {
  let budget = 1_200;
  const carried = rows
    .slice(0, -1)
    .toReversed()
    .findIndex(({ parts, metadata }) => {
      budget -= 200 + parts.length + (metadata?.length ?? 0);
      return budget < 0;
    });
  return carried === -1 ? rows.length : carried + 1;
}

async function rewrite(db: ChatDatabase, tables: ChatTables, save: Save, settings: StoreSettings): Promise<Chat> {
  try {
    return await inTransaction(
      db,
      (tx) => saveDifference(tx, tables, save, settings),
      settings.portable ? undefined : () => replaceAll(db, tables, save),
    );
  } catch (error) {
    if (error instanceof Unchanged) return error.chat;
    throw error;
  }
}

/** For drivers without transactions: all messages in the one statement, until no other writer comes in between. */
async function replaceAll(db: ChatDatabase, tables: ChatTables, save: Save): Promise<Chat> {
  for (let attempt = 1; attempt <= maxAttempts; attempt++) {
    const chat = await saveTail(db, tables, save, save.rows.length);
    if (chat) return chat;
  }
  throw otherWritersCameFirst(maxAttempts);
}

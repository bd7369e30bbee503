import { digestOf, type MessageRow } from "./message-row.ts";

/** A stored message without its content. */
export interface StoredDigest {
  id: string;
  order: number;
  digest: string;
}

/** A stored message, as far as it was loaded. */
export type StoredRow = StoredDigest | (MessageRow & { order: number });

/** The deletes, updates and inserts that turn the stored messages of a chat into others. */
export interface MessageDiff {
  /** Ids. */
  removed: string[];
  moved: { id: string; order: number }[];
  /** New messages, and stored ones whose content differs. */
  written: (MessageRow & { order: number; isStored: boolean })[];
  /** The order of the first stored message that is removed or written again. Infinity if there is none. */
  firstReplaced: number;
  isEmpty: boolean;
}

/**
 * Compares the stored messages with `rows`. `firstOrder` is the order of the first of `rows`. Leading rows that are the
 * same objects are skipped, so they cost nothing.
 */
export function diffMessages(stored: readonly StoredRow[], rows: readonly MessageRow[], firstOrder = 0): MessageDiff {
  let start = 0;
  // Orders are compared, too: an application's SQL may have left gaps.
  while (start < rows.length && stored[start] === rows[start] && stored[start]?.order === firstOrder + start) start++;

  const storedById = new Map(stored.slice(start).map((message) => [message.id, message]));
  const written: MessageDiff["written"] = [];
  const moved: MessageDiff["moved"] = [];
  let firstReplaced = Number.POSITIVE_INFINITY;
  for (const [index, row] of rows.slice(start).entries()) {
    const order = firstOrder + start + index;
    const before = storedById.get(row.id);
    storedById.delete(row.id);
    if (!before || !hasSameContent(before, row)) {
      written.push({ ...row, order, isStored: before !== undefined });
      if (before) firstReplaced = Math.min(firstReplaced, before.order);
    } else if (before.order !== order) moved.push({ id: row.id, order });
  }
  const removed = [...storedById.keys()];
  for (const { order } of storedById.values()) firstReplaced = Math.min(firstReplaced, order);
  return { removed, moved, written, firstReplaced, isEmpty: removed.length + moved.length + written.length === 0 };
}

const hasSameContent = (stored: StoredRow, row: MessageRow) =>
  stored === row || ("parts" in stored ? digestOf(stored) : stored.digest) === digestOf(row);

import { digestOf, type MessageRow } from "./messages.ts";

/** What the database keeps of a message besides its content. */
export interface StoredDigest {
  id: string;
  order: number;
  digest: string;
}

/** What has to happen to the stored messages of a chat for them to become others. */
export interface Difference {
  /** Ids. */
  removed: string[];
  moved: { id: string; order: number }[];
  /** New, or changed in what they say. */
  changed: (MessageRow & { order: number; isStored: boolean })[];
  isEmpty: boolean;
}

/**
 * What makes the stored messages become `rows`, in that order, from `firstOrder` on. Those at the beginning that are the same objects
 * cost nothing.
 */
export function difference(stored: readonly StoredDigest[], rows: readonly MessageRow[], firstOrder = 0): Difference {
  let start = 0;
  // Their order counts, too: whoever writes SQL may have left gaps.
  while (start < rows.length && stored[start] === rows[start] && stored[start]?.order === firstOrder + start) start++;

  const storedById = new Map(stored.slice(start).map((message) => [message.id, message]));
  const changed: Difference["changed"] = [];
  const moved: Difference["moved"] = [];
  for (const [index, row] of rows.slice(start).entries()) {
    const order = firstOrder + start + index;
    const before = storedById.get(row.id);
    storedById.delete(row.id);
    if (!before || !saysTheSame(before, row)) changed.push({ ...row, order, isStored: before !== undefined });
    else if (before.order !== order) moved.push({ id: row.id, order });
  }
  const removed = [...storedById.keys()];
  return { removed, moved, changed, isEmpty: removed.length + moved.length + changed.length === 0 };
}

const saysTheSame = (stored: StoredDigest | MessageRow, row: MessageRow) =>
  stored === row || ("parts" in stored ? digestOf(stored) : stored.digest) === digestOf(row);

/** Statements of at most 1,000 messages, and of about 4 million characters unless a single message is larger. */
export function chunks<Row extends MessageRow>(rows: readonly Row[]): Row[][] {
  const all: Row[][] = [];
  let size = Number.POSITIVE_INFINITY;
  for (const row of rows) {
    const added = row.parts.length + (row.metadata?.length ?? 0);
    const last = all.at(-1);
    if (last && last.length < 1_000 && size + added <= 4_000_000) {
      last.push(row);
      size += added;
    } else {
      all.push([row]);
      size = added;
    }
  }
  return all;
}

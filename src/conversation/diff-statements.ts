import type { SQL } from "drizzle-orm";
import { sql } from "../database/sql.ts";
import type { ChatTables } from "../schema.ts";
import type { MessageDiff } from "./message-diff.ts";
import type { MessageRow } from "./message-row.ts";

/** A message and its place in the chat. */
type PlacedRow = MessageRow & { order: number };

/**
 * The statements that write a diff. Each does something only `when` the condition is true.
 *
 * @param batches - the rows of `diff.written`, one insert for each batch.
 */
export function diffStatements(
  { messages }: ChatTables,
  chatId: string,
  { removed, moved, written, firstReplaced }: MessageDiff,
  when: SQL,
  batches: readonly MessageDiff["written"][] = [written],
): SQL[] {
  const statements: SQL[] = [];
  if (removed.length > 0) {
    statements.push(sql`
      delete from ${messages} m
      where m.chat_id = ${chatId} and m."order" >= ${firstReplaced}::int and ${isOneOf(sql`m.id`, removed)} and ${when}`);
  }
  if (moved.length > 0) {
    statements.push(sql`
      update ${messages} m
      set "order" = moved."order"
      from json_to_recordset(${json(moved)}) moved (id text, "order" int)
      where m.chat_id = ${chatId} and m.id = moved.id and ${when}`);
  }
  for (const batch of batches) {
    if (batch.length === 0) continue;
    const { columns, source } = insertable(batch);
    statements.push(sql`
      insert into ${messages} (chat_id, id, "order", role, parts, metadata)
      select ${chatId}, ${columns} ${source && sql`from ${source}`}
      where ${when} ${batch.some(({ isStored }) => isStored) ? onConflictUpdate : sql``}`);
  }
  return statements;
}

/**
 * Whether a text is one of these. `is true` keeps Postgres from joining the list: where it takes a chat for a short one,
 * it would compare each message with each item.
 */
export const isOneOf = (text: SQL, list: readonly string[]): SQL =>
  sql`(${text} in (select json_array_elements_text(${json(list)}))) is true`;

/** The end of an insert of messages some of which are stored already. */
export const onConflictUpdate = sql`
  on conflict (chat_id, id) do update
  set "order" = excluded."order", role = excluded.role, parts = excluded.parts, metadata = excluded.metadata`;

/**
 * More rows than this are sent as one JSON parameter: a statement takes at most 65,535 parameters, and a row needs
 * five.
 */
const maxRowsAsParameters = 10_000;

/**
 * The columns `id, "order", role, parts, metadata` of messages to insert and, for several messages, their `source`: a
 * single message is planned faster without one. JSON is sent as text, because a driver that knows the type json
 * serialises the text once more.
 */
export function insertable(rows: readonly PlacedRow[]): { columns: SQL; source?: SQL } {
  const [row, ...others] = rows;
  if (row && others.length === 0) {
    const { id, order, role, parts, metadata } = row;
    return { columns: sql`${id}, ${order}::int, ${role}, ${parts}::text::json, ${metadata}::text::json` };
  }
  return {
    columns: sql.raw("id, position, role, parts::json, metadata::json"),
    source: rows.length > maxRowsAsParameters ? jsonSource(rows) : valuesSource(rows),
  };
}

const valuesSource = (rows: readonly PlacedRow[]) => {
  const values = rows.map((row) => sql`(${row.id},${row.order}::int,${row.role},${row.parts},${row.metadata})`);
  return sql`(values ${sql.join(values, sql`,`)}) incoming (id, position, role, parts, metadata)`;
};

const jsonSource = (rows: readonly PlacedRow[]) => {
  const values = rows.map(({ id, order, role, parts, metadata }) => ({ id, position: order, role, parts, metadata }));
  return sql`json_to_recordset(${json(values)})
    incoming (id text, position int, role text, parts text, metadata text)`;
};

/** One text parameter in place of many: drivers differ in how they send arrays. */
const json = (value: unknown) => sql`${JSON.stringify(value)}::text::json`;

/** Batches of at most 1,000 messages, and of about 4 million characters unless a single message is longer. */
export function batchesOf<Row extends MessageRow>(rows: readonly Row[]): Row[][] {
  const batches: Row[][] = [];
  let size = 0;
  for (const row of rows) {
    const added = row.parts.length + (row.metadata?.length ?? 0);
    const last = batches.at(-1);
    if (last && last.length < 1_000 && size + added <= 4_000_000) {
      last.push(row);
      size += added;
    } else {
      batches.push([row]);
      size = added;
    }
  }
  return batches;
}

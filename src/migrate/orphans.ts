import { queryUnprepared } from "../database/query.ts";
import { sql } from "../database/sql.ts";
import type { ChatDatabase } from "../types.ts";
import type { Catalog } from "./catalog.ts";
import { qualified, tableNames } from "./migrations.ts";
import { relations } from "./relations.ts";

interface Reference {
  table: string;
  parent: string;
  /** Columns of the table, and the columns of its parent that they refer to. */
  columns: Record<string, string>;
  /** The column that is null in a row that refers to nothing. */
  optional?: string;
}

/** The foreign keys. */
const references: Reference[] = [
  { table: "messages", parent: "chats", columns: { chat_id: "id" } },
  { table: "turns", parent: "chats", columns: { chat_id: "id" } },
  { table: "turn_chunks", parent: "turns", columns: { chat_id: "chat_id", turn_id: "id" } },
  { table: "branches", parent: "chats", columns: { chat_id: "id" } },
  { table: "branches", parent: "branches", columns: { chat_id: "chat_id", parent: "id" }, optional: "parent" },
];

/** Rows whose parent is gone. */
export interface Orphans {
  table: string;
  parent: string;
  count: number;
  /** The statement that deletes them. */
  remedy: string;
}

/** Counts orphans in the tables whose rows this role may all read. */
export async function countOrphans(tx: ChatDatabase, schemaName: string, catalog: Catalog): Promise<Orphans[]> {
  const readable = await readableTables(tx, schemaName);
  const orphans: Orphans[] = [];
  for (const { table, parent, columns, optional } of references) {
    const pairs = Object.entries(columns);
    const exists = pairs.every(
      ([own, other]) => `column ${table}.${own}` in catalog && `column ${parent}.${other}` in catalog,
    );
    if (!exists || !readable.has(table) || !readable.has(parent)) continue;
    const condition = pairs.map(([own, other]) => `p.${other} = r.${own}`).join(" and ");
    const hasParent = `exists (select from ${qualified(schemaName, parent)} p where ${condition})`;
    const refers = optional === undefined ? "" : `r.${optional} is not null and `;
    const fromOrphans = `from ${qualified(schemaName, table)} r where ${refers}not ${hasParent}`;
    const [found] = await queryUnprepared<{ count: number }>(
      tx,
      sql.raw(`select count(*)::int as count ${fromOrphans}`),
    );
    if (found?.count) orphans.push({ table, parent, count: found.count, remedy: `delete ${fromOrphans}` });
  }
  return orphans;
}

async function readableTables(tx: ChatDatabase, schemaName: string): Promise<Set<string>> {
  const tables = await queryUnprepared<{ name: string }>(
    tx,
    sql`
      select relname::text as name
      from (${relations(schemaName, tableNames)}) tables
      where
        relkind in ('r', 'p')
        and has_schema_privilege(relnamespace, 'usage')
        and has_table_privilege(oid, 'select')
        and not row_security_active(oid)`,
  );
  return new Set(tables.map(({ name }) => name));
}

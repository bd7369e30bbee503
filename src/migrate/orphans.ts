import { queryUnprepared } from "../database/query.ts";
import { sql } from "../database/sql.ts";
import type { ChatDatabase } from "../types.ts";
import type { Catalog } from "./catalog.ts";
import { qualified } from "./migrations.ts";

const references = [
  { table: "messages", parent: "chats", columns: { chat_id: "id" } },
  { table: "turns", parent: "chats", columns: { chat_id: "id" } },
  { table: "turn_chunks", parent: "turns", columns: { chat_id: "chat_id", turn_id: "id" } },
];

export interface Orphans {
  table: string;
  parent: string;
  count: number;
  /** The statement that deletes them. */
  remedy: string;
}

/** Rows that have outlived what they belong to, of the tables that this role may read whole. */
export async function countOrphans(tx: ChatDatabase, schemaName: string, catalog: Catalog): Promise<Orphans[]> {
  const readable = new Set(
    (
      await queryUnprepared<{ name: string }>(
        tx,
        sql`select c.relname::text name from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = ${schemaName} and c.relkind in ('r', 'p') and has_schema_privilege(n.oid, 'usage')
and has_table_privilege(c.oid, 'select') and not row_security_active(c.oid)`,
      )
    ).map(({ name }) => name),
  );
  const orphans: Orphans[] = [];
  for (const { table, parent, columns } of references) {
    const pairs = Object.entries(columns);
    const isThere = pairs.every(
      ([own, other]) => `column ${table}.${own}` in catalog && `column ${parent}.${other}` in catalog,
    );
    if (!isThere || !readable.has(table) || !readable.has(parent)) continue;
    const condition = pairs.map(([own, other]) => `p.${other} = r.${own}`).join(" and ");
    const from = `from ${qualified(schemaName, table)} r where not exists (select from ${qualified(schemaName, parent)} p where ${condition})`;
    const [found] = await queryUnprepared<{ count: number }>(tx, sql.raw(`select count(*)::int count ${from}`));
    if (found?.count) orphans.push({ table, parent, count: found.count, remedy: `delete ${from}` });
  }
  return orphans;
}

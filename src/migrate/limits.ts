import { queryUnprepared } from "../database/query.ts";
import { sql } from "../database/sql.ts";
import type { ChatDatabase } from "../types.ts";
import { tableNames } from "./migrations.ts";

/** What refuses rows of a table. */
export interface Limit {
  /** As the catalog names it, such as `constraint chats.named`. */
  object: string;
  kind: "unique" | "exclusion" | "check" | "foreign key";
  table: string;
  /** The columns that it compares as they are. */
  keys: string[];
  /** All columns that it concerns, also in expressions and conditions. */
  columns: string[];
}

/** All unique constraints and indexes, and the other constraints but primary keys. */
export async function readLimits(tx: ChatDatabase, schemaName: string): Promise<Limit[]> {
  const rows = await queryUnprepared<Record<keyof Limit, string>>(
    tx,
    sql`
with tables as (
  select c.oid, c.relname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname = ${schemaName} and c.relname in ${tableNames}
),
limits as (
  select 'constraint ' || t.relname || '.' || k.conname as object,
    case k.contype when 'u' then 'unique' when 'x' then 'exclusion' when 'c' then 'check' else 'foreign key' end as kind,
    t.oid as relation, t.relname, k.conkey::int[] as keys, coalesce(i.indexrelid, k.oid) as dependent
  from tables t join pg_catalog.pg_constraint k on k.conrelid = t.oid and k.contype in ('u', 'x', 'c', 'f')
  left join pg_catalog.pg_index i on i.indexrelid = k.conindid and i.indrelid = t.oid
union all
  select 'index ' || t.relname || '.' || c.relname, 'unique', t.oid, t.relname, i.indkey::int2[]::int[], i.indexrelid
  from tables t join pg_catalog.pg_index i on i.indrelid = t.oid and i.indisunique
  join pg_catalog.pg_class c on c.oid = i.indexrelid
  where not exists (select from pg_catalog.pg_constraint k where k.conindid = c.oid and k.conrelid = t.oid and k.contype in ('p', 'u', 'x'))
)
select object::text, kind::text, relname::text "table",
  (select coalesce(json_agg(attname), '[]')::text from pg_catalog.pg_attribute where attrelid = relation and attnum = any(keys) and attnum > 0) keys,
  (select coalesce(json_agg(attname), '[]')::text from pg_catalog.pg_attribute where attrelid = relation and attnum > 0 and (attnum = any(keys)
    or attnum in (select refobjsubid from pg_catalog.pg_depend where objid = dependent and refobjid = relation))) columns
from limits`,
  );
  return rows.map(({ object, kind, table, keys, columns }) => ({
    object,
    kind: kind as Limit["kind"],
    table,
    keys: JSON.parse(keys),
    columns: JSON.parse(columns),
  }));
}

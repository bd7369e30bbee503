import { queryUnprepared } from "../database/query.ts";
import { sql } from "../database/sql.ts";
import type { ChatDatabase } from "../types.ts";
import { isOfConstraint } from "./catalog.ts";
import { tableNames } from "./migrations.ts";
import { relations } from "./relations.ts";

/** A constraint or a unique index, which may refuse rows of a table. */
export interface Limit {
  /** Its name in the catalog, such as `constraint chats.named`. */
  object: string;
  kind: "unique" | "exclusion" | "check" | "foreign key";
  table: string;
  /** The columns whose values it compares. */
  keys: string[];
  /** All its columns, including those in expressions and conditions. */
  columns: string[];
}

/** Reads all unique indexes, and all constraints but primary keys. */
export async function readLimits(tx: ChatDatabase, schemaName: string): Promise<Limit[]> {
  const rows = await queryUnprepared<Record<keyof Limit, string>>(
    tx,
    sql`
      with
        tables as (${relations(schemaName, tableNames)}),
        limits as (${constraints} union all ${uniqueIndexes})
      select
        object::text as object,
        kind::text as kind,
        relname::text as "table",
        (${namesOfColumns} and attnum = any(keys)) as keys,
        (${namesOfColumns} and (attnum = any(keys) or attnum in (${columnsInExpressions}))) as columns
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

const constraints = sql`
  select
    'constraint ' || t.relname || '.' || k.conname as object,
    case k.contype
      when 'u' then 'unique'
      when 'x' then 'exclusion'
      when 'c' then 'check'
      else 'foreign key'
    end as kind,
    t.oid as table_oid,
    t.relname,
    k.conkey::int[] as keys,
    coalesce(i.indexrelid, k.oid) as limit_oid
  from tables t
  join pg_catalog.pg_constraint k on k.conrelid = t.oid and k.contype in ('u', 'x', 'c', 'f')
  left join pg_catalog.pg_index i on i.indexrelid = k.conindid and i.indrelid = t.oid`;

const uniqueIndexes = sql`
  select
    'index ' || t.relname || '.' || c.relname,
    'unique',
    t.oid,
    t.relname,
    i.indkey::int2[]::int[],
    i.indexrelid
  from tables t
  join pg_catalog.pg_index i on i.indrelid = t.oid and i.indisunique
  join pg_catalog.pg_class c on c.oid = i.indexrelid
  where not ${isOfConstraint}`;

const namesOfColumns = sql`
  select coalesce(json_agg(attname), '[]')::text
  from pg_catalog.pg_attribute
  where attrelid = table_oid and attnum > 0`;

const columnsInExpressions = sql`
  select refobjsubid
  from pg_catalog.pg_depend
  where objid = limit_oid and refobjid = table_oid`;

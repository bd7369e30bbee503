import { queryUnprepared } from "../database/query.ts";
import { sql } from "../database/sql.ts";
import type { ChatDatabase } from "../types.ts";
import { qualified, tableNames } from "./migrations.ts";
import { relations } from "./relations.ts";

/** The column whose value decides on which shard a row is, so that all rows of a chat are on one shard. */
const columnOf = (table: string) => (table === "chats" ? "id" : "chat_id");

/** How each table has to be distributed, by the table's name. */
export const expectedDistribution: Record<string, string> = Object.fromEntries(
  tableNames.map((table) => [table, `by ${columnOf(table)}${table === "chats" ? "" : ", beside chats"}`]),
);

/**
 * The statements that distribute the tables, for the coordinator of a Citus cluster. They skip tables that are
 * distributed already and tables of later migrations, so that they fit a database at any version.
 */
export const distributeStatements = (schemaName: string): string[] => {
  const nameOf = (table: string) => `'${qualified(schemaName, table).replaceAll("'", "''")}'`;
  return tableNames.map((table) => {
    const beside = table === "chats" ? "" : `, colocate_with => ${nameOf("chats")}`;
    return `select create_distributed_table(found, '${columnOf(table)}'${beside})
from (select to_regclass(${nameOf(table)}) found) there
where found is not null and not exists (select from pg_catalog.pg_dist_partition where logicalrelid = found)`;
  });
};

/** How the existing tables are distributed, by name; null if `chats` is not, as everywhere without Citus. */
export async function readDistribution(db: ChatDatabase, schemaName: string): Promise<Record<string, string> | null> {
  const catalog = await queryUnprepared<{ name: string | null }>(
    db,
    sql`select to_regclass('pg_catalog.pg_dist_partition')::text as name`,
  );
  if (!catalog[0]?.name) return null;
  const rows = await queryUnprepared<{ name: string; distribution: string }>(
    db,
    sql`
      select
        c.relname::text as name,
        case
          when p.logicalrelid is null then 'local'
          when p.partmethod <> 'h' then 'not by hash'
          else
            'by ' || column_to_column_name(p.logicalrelid, p.partkey) ||
            case
              when c.relname = 'chats' then ''
              when p.colocationid = chats.colocationid then ', beside chats'
              else ', apart from chats'
            end
        end as distribution
      from (${relations(schemaName, tableNames)}) c
      join pg_catalog.pg_dist_partition chats on chats.logicalrelid = to_regclass(${qualified(schemaName, "chats")})
      left join pg_catalog.pg_dist_partition p on p.logicalrelid = c.oid`,
  );
  return rows.length === 0 ? null : Object.fromEntries(rows.map(({ name, distribution }) => [name, distribution]));
}

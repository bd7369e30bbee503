import { queryUnprepared } from "../database/query.ts";
import { sql } from "../database/sql.ts";
import type { ChatDatabase } from "../types.ts";
import { type Migration, qualified } from "./migrations.ts";
import { relations } from "./relations.ts";

/**
 * A concurrent build that fails leaves an invalid index behind. It has the index's name, so that `create index if not
 * exists` would skip building the index. Therefore a migration drops the invalid ones of its indexes first.
 */
const createIndex = /^CREATE INDEX IF NOT EXISTS "(\w+)"/;

const indexesIn = (migrations: readonly Migration[]): string[] =>
  migrations.flatMap(({ statements }) =>
    statements.map((text) => createIndex.exec(text)?.[1]).filter((name) => name !== undefined),
  );

/** The names of the indexes that these migrations build and that exist, but are invalid. */
export async function readInvalidIndexes(
  db: ChatDatabase,
  schemaName: string,
  pending: readonly Migration[],
): Promise<string[]> {
  const names = indexesIn(pending);
  if (names.length === 0) return [];
  const found = await queryUnprepared<{ name: string }>(
    db,
    sql`
      select c.relname::text as name
      from (${relations(schemaName, names)}) c
      join pg_catalog.pg_index i on i.indexrelid = c.oid
      where not (i.indisvalid and i.indisready)`,
  );
  return found.map(({ name }) => name);
}

export const dropIndexStatement = (schemaName: string, name: string) => `drop index ${qualified(schemaName, name)}`;

/** The statements that do the same in a script, which has to look for invalid indexes while it runs. */
export const dropInvalidStatements = (schemaName: string, migration: Migration): string[] =>
  indexesIn([migration]).map((name) => {
    const body = `begin
  if exists (
    select from pg_catalog.pg_index
    where indexrelid = to_regclass(${quoted(qualified(schemaName, name))}) and not (indisvalid and indisready)
  ) then
    ${dropIndexStatement(schemaName, name)};
  end if;
end`;
    return `do ${quoted(body)}`;
  });

const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`;

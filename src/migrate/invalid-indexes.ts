import { queryUnprepared } from "../database/query.ts";
import { sql } from "../database/sql.ts";
import type { ChatDatabase } from "../types.ts";
import { type Migration, qualified } from "./migrations.ts";

/**
 * A concurrent build that fails leaves an index behind that has its name and is never used: `create index if not exists` takes it for
 * the index. Those of that kind are dropped before a migration builds them.
 */
const createIndex = /^CREATE INDEX IF NOT EXISTS "(\w+)"/;

const indexesIn = (migrations: readonly Migration[]): string[] =>
  migrations.flatMap(({ statements }) =>
    statements.map((text) => createIndex.exec(text)?.[1]).filter((name) => name !== undefined),
  );

/** The names of the indexes that these migrations would build, and that are there without being of use. */
export async function readInvalidIndexes(
  db: ChatDatabase,
  schemaName: string,
  pending: readonly Migration[],
): Promise<string[]> {
  const names = indexesIn(pending);
  if (names.length === 0) return [];
  const found = await queryUnprepared<{ name: string }>(
    db,
    sql`select c.relname::text name from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = ${schemaName} and c.relname in ${names} and not (i.indisvalid and i.indisready)`,
  );
  return found.map(({ name }) => name);
}

export const dropIndexStatement = (schemaName: string, name: string) => `drop index ${qualified(schemaName, name)}`;

/** The statements that do the same in a script, which cannot look first. */
export const dropInvalidStatements = (schemaName: string, migration: Migration): string[] =>
  indexesIn([migration]).map((name) => {
    const body = `begin
  if exists (select from pg_catalog.pg_index where indexrelid = to_regclass(${quoted(qualified(schemaName, name))}) and not (indisvalid and indisready)) then
    ${dropIndexStatement(schemaName, name)};
  end if;
end`;
    return `do ${quoted(body)}`;
  });

const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`;

import type { SQL } from "drizzle-orm";
import { sql } from "../database/sql.ts";

/** Selects the tables or indexes of a Postgres schema that have one of these names, as rows of `pg_class`. */
export const relations = (schemaName: string, names: readonly string[]): SQL => sql`
  select c.*
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname = ${schemaName} and c.relname in ${names}`;

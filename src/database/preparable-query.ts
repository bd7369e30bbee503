import { is, Name, type SQL } from "drizzle-orm";
import { sql } from "./sql.ts";

/** A statement in the pieces from which Drizzle's query builder can prepare it. See `prepared.ts`. */
export interface PreparableQuery<Row> {
  /** Common table expressions by name, in order. They may write. */
  ctes?: Record<string, SQL> | undefined;
  /**
   * The selected columns: names of `from`'s columns, or expressions by the name that they get. Only text and int,
   * because drivers parse other types differently.
   */
  columns: readonly (keyof Row & string)[] | { [Column in keyof Row]: SQL | Name };
  /** Everything after the word `from`: also conditions, an order and a limit. */
  from: SQL;
}

/** One row without columns, to select expressions from. */
export const oneRow = sql`(select) one_row`;
export const noRows = sql`(select) no_rows where false`;

export function expressionsOf<Row>({ columns }: PreparableQuery<Row>): [name: string, expression: SQL | Name][] {
  if (!Array.isArray(columns)) return Object.entries<SQL | Name>(columns as Record<string, SQL | Name>);
  return columns.map((name) => [name, sql.identifier(name)]);
}

/** The statement as one text. */
export function toSql<Row>(query: PreparableQuery<Row>): SQL {
  const ctes = Object.entries(query.ctes ?? {}).map(([name, cte]) => sql`${sql.raw(name)} as (${cte})`);
  const withClause = ctes.length === 0 ? sql`` : sql`with ${sql.join(ctes, sql`, `)} `;
  const columns = expressionsOf(query).map(([name, expression]) =>
    is(expression, Name) ? sql`${expression}` : sql`${expression} as ${sql.identifier(name)}`,
  );
  return sql`${withClause}select ${sql.join(columns, sql`, `)} from ${query.from}`;
}

import { is, Name, type SQL, sql } from "drizzle-orm";

/** A statement in pieces, as Drizzle's query builder takes them to prepare it. */
export interface Statement<Row> {
  /** Its common table expressions, which may write. */
  with?: Record<string, SQL> | undefined;
  /** What it gives. Text and int only: drivers differ in how they parse all else. */
  select: { [Column in keyof Row]: SQL | Name };
  /** Where that is from, and what may follow: conditions, an order, a limit. */
  from: SQL;
}

/** What a statement gives that is there under the same names. */
export const columnsNamed = <Row>(...names: (keyof Row & string)[]) =>
  Object.fromEntries(names.map((name) => [name, sql.identifier(name)])) as Record<keyof Row, Name>;

/** The same in one piece. */
export function textOf<Row>({ with: parts = {}, select, from }: Statement<Row>): SQL {
  const named = Object.entries(parts).map(([name, part]) => sql`${sql.raw(name)} as (\n${part}\n)`);
  const selected = Object.entries<SQL | Name>(select).map(([name, value]) =>
    is(value, Name) ? sql`${value}` : sql`${value} ${sql.identifier(name)}`,
  );
  return sql`${named.length === 0 ? sql`` : sql`with ${sql.join(named, sql`, `)}\n`}select ${sql.join(selected, sql`, `)} from ${from}`;
}

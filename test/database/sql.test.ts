import { PgDialect } from "drizzle-orm/pg-core";
import { expect, test } from "vitest";
import { sql } from "../../src/database/sql.ts";

const textOf = (statement: ReturnType<typeof sql>) => new PgDialect().sqlToQuery(statement).sql;

test("sql removes comments, line breaks and indentation, and keeps values in their places", () => {
  const andName = sql`and c.name = ${"name"}`;
  const statement = sql`
    -- All chats of a user.
    select
      c.id, -- the key
      (
        select count(*)
        from messages m
        where m.chat_id = c.id
      ) as total
    from chats c
    where c.user_id = ${"user"}
      ${andName}
    limit ${10}`;
  expect(textOf(statement)).toBe(
    "select c.id,(select count(*) from messages m where m.chat_id = c.id) as total from chats c " +
      "where c.user_id = $1 and c.name = $2 limit $3",
  );
});

test("sql keeps blanks within a line, also at the ends of a piece", () => {
  expect(textOf(sql`select 'a  b' as text${sql` where  x = ${1} `}`)).toBe("select 'a  b' as text where  x = $1 ");
  expect(textOf(sql``)).toBe("");
});

test("sql compacts a template once, and gives other values to the same text", () => {
  const statement = (value: number) => sql`
    select
      ${value}`;
  expect([1, 2].map((value) => new PgDialect().sqlToQuery(statement(value)))).toMatchObject([
    { sql: "select $1", params: [1] },
    { sql: "select $1", params: [2] },
  ]);
});

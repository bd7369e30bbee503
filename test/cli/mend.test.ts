import { expect, test } from "vitest";
import { migrations, statementsIn } from "../../src/migrate/migrations.ts";
import { openEmptyDatabase, runCommand } from "../support/command-line.ts";

const schemas = ["chat_store", `it's a "$&" schema`];
const quote = (name: string) => `"${name.replaceAll('"', '""')}"`;

const damages: [what: string, statement: string, count: number][] = [
  ["index of the first migration", "drop index SCHEMA.chats_user_idx", 1],
  ["index of a later migration", "drop index SCHEMA.messages_order_idx", 1],
  [
    "index that Postgres calls invalid",
    "update pg_index set indisvalid = false where indexrelid = to_regclass('SCHEMA.messages_order_idx')",
    2,
  ],
  [
    "index on other columns",
    "drop index SCHEMA.chats_user_idx; create index chats_user_idx on SCHEMA.chats (title)",
    2,
  ],
  ["foreign key of messages", "alter table SCHEMA.messages drop constraint messages_chat_id_chats_id_fk", 1],
  [
    "key of a table with those that refer to it",
    "alter table SCHEMA.turns drop constraint turns_chat_id_chats_id_fk; alter table SCHEMA.turn_chunks drop constraint turn_chunks_chat_id_turn_id_turns_chat_id_id_fk",
    2,
  ],
  [
    "key of branches to the chat, and to the branch on which they hang",
    "alter table SCHEMA.branches drop constraint branches_chat_id_chats_id_fk, drop constraint branches_chat_id_parent_branches_chat_id_id_fk",
    2,
  ],
  [
    "three columns",
    "alter table SCHEMA.chats drop archived_at, drop metadata; alter table SCHEMA.turns drop recovered_after",
    3,
  ],
];

test.each(schemas.flatMap((schema) => damages.map(([what, statement, count]) => ({ what, schema, statement, count }))))(
  "doctor prints the statements that mend a damaged $what in schema $schema, and finds nothing after them",
  async ({ schema, statement, count }) => {
    const { url: databaseUrl, query } = await openEmptyDatabase();
    const run = (command: string) => runCommand([command, "--schema", schema], { databaseUrl });
    await run("migrate");
    const quoted = statement.includes("to_regclass") ? quote(schema).replaceAll("'", "''") : quote(schema);
    await query(statement.replaceAll("SCHEMA", () => quoted));

    const { exitCode, stdout } = await run("doctor");
    expect(exitCode).toBe(1);
    const statements = [...stdout.matchAll(/^ {2}run {7}(.*;)$/gm)].map(([, statement = ""]) => statement);
    expect(statements).toHaveLength(count);
    for (const statement of statements) await query(statement);
    expect(await run("doctor")).toMatchObject({ exitCode: 0 });
  },
);

test("doctor leaves to migrate what a pending migration makes, and to your own migrations what they make", async () => {
  const { url: databaseUrl, query } = await openEmptyDatabase();
  const doctor = async () => (await runCommand(["doctor"], { databaseUrl })).stdout;
  for (const migration of migrations.slice(0, 2)) await query(statementsIn("chat_store", migration).join(";"));
  expect(await doctor()).toContain("missing     index messages.messages_order_idx");
  expect(await doctor()).not.toMatch(/^ {2}run /m);

  await runCommand(["migrate", "--schema", "own"], { databaseUrl });
  await query("drop table own.migrations; drop index own.messages_order_idx");
  const { stdout } = await runCommand(["doctor", "--schema", "own"], { databaseUrl });
  expect(stdout).toContain("missing     index messages.messages_order_idx");
  expect(stdout).not.toMatch(/^ {2}run /m);
});

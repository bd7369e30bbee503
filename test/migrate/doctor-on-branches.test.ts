import { expect, onTestFinished, test } from "vitest";
import { describeDiagnosis } from "../../src/cli/doctor.ts";
import { diagnose } from "../../src/migrate/doctor.ts";
import { nodePostgres, openWith } from "../support/databases.ts";

const damages: { what: string; sql: string; found: string }[] = [
  {
    what: "branches that have outlived their chat or the branch on which they hang",
    sql: `set session_replication_role = replica;
      insert into chat_store.branches (chat_id, id, parent, position, message_count, messages)
      values ('gone', md5('1')::uuid, null, 1, 1, '[]'), ('gone', md5('2')::uuid, md5('1')::uuid, 1, 1, '[]'), ('gone', md5('3')::uuid, md5('4')::uuid, 1, 1, '[]');
      reset session_replication_role`,
    found: `
unexpected  rows of branches
  found     3 whose row in chats is gone
  They were kept while a foreign key was missing or switched off, and would appear in the next chat with the same id: delete from "chat_store"."branches" r where not exists (select from "chat_store"."chats" p where p.id = r.chat_id)

unexpected  rows of branches
  found     1 whose row in branches is gone
  They were kept while a foreign key was missing or switched off, and no call reaches them: delete from "chat_store"."branches" r where r.parent is not null and not exists (select from "chat_store"."branches" p where p.chat_id = r.chat_id and p.id = r.parent)`,
  },
  {
    what: "the missing table, as one difference",
    sql: "drop table chat_store.branches",
    found: `
missing     table branches
  expected  ordinary table`,
  },
  {
    what: "branches that have lost a column, a key and a check, and whose messages are jsonb",
    sql: `alter table chat_store.branches drop column message_count, drop constraint branches_position_check,
        drop constraint branches_chat_id_id_pk cascade, alter messages type jsonb`,
    found: `
missing     column branches.message_count
  expected  integer not null

changed     column branches.messages
  expected  json not null
  found     jsonb not null

missing     constraint branches.branches_chat_id_id_pk
  expected  PRIMARY KEY (chat_id, id)

missing     constraint branches.branches_chat_id_parent_branches_chat_id_id_fk
  expected  FOREIGN KEY (chat_id, parent) REFERENCES branches(chat_id, id) ON DELETE CASCADE
  run       ALTER TABLE "chat_store"."branches" ADD CONSTRAINT "branches_chat_id_parent_branches_chat_id_id_fk" FOREIGN KEY ("chat_id","parent") REFERENCES "chat_store"."branches"("chat_id","id") ON DELETE cascade ON UPDATE no action;

missing     constraint branches.branches_position_check
  expected  CHECK ("position" >= 1)`,
  },
  {
    what: "a missing foreign key of branches to the branch on which they hang",
    sql: "alter table chat_store.branches drop constraint branches_chat_id_parent_branches_chat_id_id_fk",
    found: `
missing     constraint branches.branches_chat_id_parent_branches_chat_id_id_fk
  expected  FOREIGN KEY (chat_id, parent) REFERENCES branches(chat_id, id) ON DELETE CASCADE
  run       ALTER TABLE "chat_store"."branches" ADD CONSTRAINT "branches_chat_id_parent_branches_chat_id_id_fk" FOREIGN KEY ("chat_id","parent") REFERENCES "chat_store"."branches"("chat_id","id") ON DELETE cascade ON UPDATE no action;`,
  },
  {
    what: "a foreign key of branches that does not delete what hangs on them",
    sql: `alter table chat_store.branches drop constraint branches_chat_id_parent_branches_chat_id_id_fk;
      alter table chat_store.branches add constraint branches_chat_id_parent_branches_chat_id_id_fk
        foreign key (chat_id, parent) references chat_store.branches (chat_id, id)`,
    found: `
changed     constraint branches.branches_chat_id_parent_branches_chat_id_id_fk
  expected  FOREIGN KEY (chat_id, parent) REFERENCES branches(chat_id, id) ON DELETE CASCADE
  found     FOREIGN KEY (chat_id, parent) REFERENCES branches(chat_id, id)`,
  },
  {
    what: "places of branches that are unique, as they are not while a switch moves them",
    sql: "create unique index one on chat_store.branches (chat_id, after_id, position)",
    found: `
unexpected  index branches.one
  found     unique btree (chat_id, after_id, "position")
  Some saves fail on it, such as a fork or a second chat: drop it, or add a column of your own to it.`,
  },
];

test.each(damages)("doctor finds $what", async ({ sql, found }) => {
  const database = await openWith(nodePostgres);
  onTestFinished(database.close);
  await database.query(sql);
  const diagnosis = describeDiagnosis(await diagnose(database.db, "chat_store"), "chat_store");
  const [, ...paragraphs] = diagnosis.split("\n\n");
  expect(`\n${paragraphs.join("\n\n")}`).toBe(found);
});

test("the statements that doctor prints delete the branches that have outlived what they belong to, and no others", async () => {
  const database = await openWith(nodePostgres);
  onTestFinished(database.close);
  const { query, db } = database;
  await query("insert into chat_store.chats (id, user_id, title) values ('there', 'u', '')");
  await query(`set session_replication_role = replica;
    insert into chat_store.branches (chat_id, id, parent, position, message_count, messages) values
      ('gone', md5('1')::uuid, null, 1, 1, '[]'), ('there', md5('2')::uuid, md5('3')::uuid, 1, 1, '[]'),
      ('there', md5('4')::uuid, null, 1, 1, '[]'), ('there', md5('5')::uuid, md5('4')::uuid, 1, 1, '[]');
    reset session_replication_role`);
  for (const { object, advice = "" } of (await diagnose(db, "chat_store")).differences) {
    expect(object).toBe("rows of branches");
    await query(advice.slice(advice.indexOf("delete from")));
  }
  expect((await diagnose(db, "chat_store")).differences).toEqual([]);
  expect(await query("select id = md5('4')::uuid as first from chat_store.branches order by first desc")).toEqual([
    { first: true },
    { first: false },
  ]);
});

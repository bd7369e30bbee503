import type { UIMessage } from "ai";
import { describe, expect, onTestFinished, test } from "vitest";
import catalog from "../../migrations/catalog.json" with { type: "json" };
import { describeDiagnosis } from "../../src/cli/doctor.ts";
import { createChatStore, migrate } from "../../src/index.ts";
import { diagnose } from "../../src/migrate/doctor.ts";
import { statusOf } from "../../src/migrate/status.ts";
import { conversation, say } from "../support/conversations.ts";
import { databases, nodePostgres, openWith, servers, type TestDatabase } from "../support/databases.ts";
import { isLong } from "../support/long-run.ts";

const openMigrated = async (open: () => Promise<TestDatabase>) => {
  const database = await open();
  onTestFinished(database.close);
  await migrate(database.db);
  return database;
};

const diagnosisOf = async ({ db }: TestDatabase, schema = "chat_store") =>
  describeDiagnosis(await diagnose(db, schema), schema);

const healthy = 'Schema "chat_store" is as this version of drizzle-chat-store expects it.';

describe.each(isLong ? databases : servers)("doctor on $name", ({ open }) => {
  test("doctor finds no difference in a healthy database with chats, under any schema name", async () => {
    const database = await openMigrated(open);
    await createChatStore(database.db).upsertChat({ userId: "u", chatId: "c", messages: [] });
    expect(await diagnosisOf(database)).toBe(healthy);
    const schema = `it's a "schema"`;
    await migrate(database.db, { schema });
    expect(await diagnose(database.db, schema)).toEqual({ differences: [], additions: [], ledger: true });
  });

  test("doctor leaves the settings of the connection unchanged", async () => {
    const database = await openMigrated(open);
    const before = await database.query("show search_path");
    await diagnosisOf(database);
    expect(await database.query("show search_path")).toEqual(before);
  });

  test("doctor says in one sentence that nothing has been migrated, and keeps the missing tables for programs", async () => {
    const database = await openMigrated(open);
    expect(await diagnosisOf(database, "elsewhere")).toBe(`\
Nothing has been migrated in schema "elsewhere" yet: run migrate, unless your own migrations create the tables.`);
    expect(
      (await diagnose(database.db, "elsewhere")).differences.map(({ kind, object }) => `${kind} ${object}`),
    ).toEqual([
      "missing table branches",
      "missing table chats",
      "missing table messages",
      "missing table turn_chunks",
      "missing table turns",
    ]);
  });
});

const damages: { what: string; sql: string; found: string }[] = [
  {
    what: "a dropped index",
    sql: "drop index chat_store.chats_user_idx",
    found: `
missing     index chats.chats_user_idx
  expected  btree (user_id, updated_at, id)
  run       CREATE INDEX "chats_user_idx" ON "chat_store"."chats" USING btree ("user_id","updated_at","id");`,
  },
  {
    what: "an index on other columns",
    sql: `drop index chat_store.chats_user_idx;
      create index chats_user_idx on chat_store.chats (user_id, updated_at desc nulls last)`,
    found: `
changed     index chats.chats_user_idx
  expected  btree (user_id, updated_at, id)
  found     btree (user_id, updated_at DESC NULLS LAST)
  run       drop index "chat_store"."chats_user_idx";
  run       CREATE INDEX "chats_user_idx" ON "chat_store"."chats" USING btree ("user_id","updated_at","id");`,
  },
  {
    what: "an index for some rows only, and unique",
    sql: `drop index chat_store.chats_user_idx;
      create unique index chats_user_idx on chat_store.chats (user_id, updated_at, id) where version > 1`,
    found: `
changed     index chats.chats_user_idx
  expected  btree (user_id, updated_at, id)
  found     unique btree (user_id, updated_at, id) WHERE version > 1
  run       drop index "chat_store"."chats_user_idx";
  run       CREATE INDEX "chats_user_idx" ON "chat_store"."chats" USING btree ("user_id","updated_at","id");`,
  },
  {
    what: "an index that could not be built",
    sql: "update pg_index set indisvalid = false where indexrelid = 'chat_store.chats_user_idx'::regclass",
    found: `
changed     index chats.chats_user_idx
  expected  btree (user_id, updated_at, id)
  found     btree (user_id, updated_at, id) (invalid)
  Postgres does not use it, as after a failed concurrent build: drop it and create it again.
  run       drop index "chat_store"."chats_user_idx";
  run       CREATE INDEX "chats_user_idx" ON "chat_store"."chats" USING btree ("user_id","updated_at","id");`,
  },
  {
    what: "an index that is still being built",
    sql: "update pg_index set indisready = false where indexrelid = 'chat_store.messages_chat_id_id_pk'::regclass",
    found: `
changed     constraint messages.messages_chat_id_id_pk
  expected  PRIMARY KEY (chat_id, id)
  found     PRIMARY KEY (chat_id, id) (invalid)`,
  },
  {
    what: "a changed column type",
    sql: `alter table chat_store.messages alter "order" type bigint`,
    found: `
changed     column messages.order
  expected  integer not null
  found     bigint not null`,
  },
  {
    what: "json made jsonb",
    sql: "alter table chat_store.messages alter metadata type jsonb, drop digest",
    found: `
missing     column messages.digest
  expected  ${catalog["column messages.digest"]}

changed     column messages.metadata
  expected  json
  found     jsonb`,
  },
  {
    what: "a changed precision",
    sql: "alter table chat_store.chats alter updated_at type timestamptz",
    found: `
changed     column chats.updated_at
  expected  timestamp(3) with time zone not null default now()
  found     timestamp with time zone not null default now()`,
  },
  {
    what: "a changed collation",
    sql: `alter table chat_store.chats alter title type text collate "C"`,
    found: `
changed     column chats.title
  expected  text not null
  found     text collate "C" not null`,
  },
  {
    what: "a column that may be null now",
    sql: "alter table chat_store.chats alter user_id drop not null",
    found: `
changed     column chats.user_id
  expected  text not null
  found     text`,
  },
  {
    what: "a missing generated column",
    sql: "alter table chat_store.messages drop digest",
    found: `
missing     column messages.digest
  expected  ${catalog["column messages.digest"]}`,
  },
  {
    what: "a generated column that has become an ordinary one",
    sql: "alter table chat_store.messages alter digest drop expression",
    found: `
changed     column messages.digest
  expected  ${catalog["column messages.digest"]}
  found     bytea not null`,
  },
  {
    what: "a generated column that computes something else",
    sql: `alter table chat_store.messages drop digest;
      alter table chat_store.messages add digest bytea not null generated always as (sha256(parts::text::bytea)) stored`,
    found: `
changed     column messages.digest
  expected  ${catalog["column messages.digest"]}
  found     bytea not null generated always as (sha256(parts::text::bytea)) stored`,
  },
  {
    what: "a dropped column",
    sql: "alter table chat_store.chats drop title",
    found: `
missing     column chats.title
  expected  text not null`,
  },
  {
    what: "a renamed column, as a missing one and one that no save fills",
    sql: "alter table chat_store.chats rename title to name",
    found: `
missing     column chats.title
  expected  text not null

unexpected  column chats.name
  found     text not null
  The store gives it no value, so every save fails: make it nullable, or give it a default.`,
  },
  {
    what: "a changed default",
    sql: "alter table chat_store.chats alter version set default 0",
    found: `
changed     column chats.version
  expected  integer not null default 1
  found     integer not null default 0`,
  },
  {
    what: "a dropped default",
    sql: "alter table chat_store.messages alter created_at drop default",
    found: `
changed     column messages.created_at
  expected  timestamp(3) with time zone not null default now()
  found     timestamp(3) with time zone not null`,
  },
  {
    what: "a dropped check",
    sql: "alter table chat_store.chats drop constraint chats_version_check",
    found: `
missing     constraint chats.chats_version_check
  expected  CHECK (version >= 1)`,
  },
  {
    what: "a dropped primary key",
    sql: "alter table chat_store.messages drop constraint messages_chat_id_id_pk",
    found: `
missing     constraint messages.messages_chat_id_id_pk
  expected  PRIMARY KEY (chat_id, id)`,
  },
  {
    what: "a foreign key that does something else on delete",
    sql: `alter table chat_store.messages drop constraint messages_chat_id_chats_id_fk;
      alter table chat_store.messages add constraint messages_chat_id_chats_id_fk
        foreign key (chat_id) references chat_store.chats (id) on delete restrict`,
    found: `
changed     constraint messages.messages_chat_id_chats_id_fk
  expected  FOREIGN KEY (chat_id) REFERENCES chats(id) ON DELETE CASCADE
  found     FOREIGN KEY (chat_id) REFERENCES chats(id) ON DELETE RESTRICT`,
  },
  {
    what: "a foreign key that has not been checked, to a table elsewhere",
    sql: `alter table chat_store.messages drop constraint messages_chat_id_chats_id_fk;
      create table public.chats (id text primary key);
      alter table chat_store.messages add constraint messages_chat_id_chats_id_fk
        foreign key (chat_id) references public.chats (id) on delete cascade not valid`,
    found: `
changed     constraint messages.messages_chat_id_chats_id_fk
  expected  FOREIGN KEY (chat_id) REFERENCES chats(id) ON DELETE CASCADE
  found     FOREIGN KEY (chat_id) REFERENCES public.chats(id) ON DELETE CASCADE NOT VALID`,
  },
  {
    what: "foreign keys that are switched off",
    sql: "alter table chat_store.messages disable trigger all",
    found: `
changed     constraint messages.messages_chat_id_chats_id_fk
  expected  FOREIGN KEY (chat_id) REFERENCES chats(id) ON DELETE CASCADE
  found     FOREIGN KEY (chat_id) REFERENCES chats(id) ON DELETE CASCADE (switched off)
  Deleting a chat keeps its messages, turns and branches: run \`alter table … enable trigger all\` for messages and the table that it refers to.`,
  },
  {
    what: "a foreign key that only replicas obey",
    sql: `do $$ declare name text; begin
      for name in select tgname from pg_trigger where tgrelid = 'chat_store.turns'::regclass and tgname like '%ConstraintTrigger_c%' loop
        execute format('alter table chat_store.turns enable replica trigger %I', name);
      end loop;
    end $$`,
    found: `
changed     constraint turns.turns_chat_id_chats_id_fk
  expected  FOREIGN KEY (chat_id) REFERENCES chats(id) ON DELETE CASCADE
  found     FOREIGN KEY (chat_id) REFERENCES chats(id) ON DELETE CASCADE (switched off)
  Deleting a chat keeps its messages, turns and branches: run \`alter table … enable trigger all\` for turns and the table that it refers to.`,
  },
  {
    what: "messages, turns and pieces of recordings that have outlived what they belong to",
    sql: `set session_replication_role = replica;
      insert into chat_store.messages (chat_id, id, "order", role, parts) values ('gone', '1', 0, 'user', '[]'), ('gone', '2', 1, 'user', '[]');
      insert into chat_store.turns (chat_id, id, question_id, question_digest, answer_id, replaces) values ('gone', gen_random_uuid(), 'q', '', 'a', '[]');
      insert into chat_store.turn_chunks values ('gone', gen_random_uuid(), 0, '');
      reset session_replication_role`,
    found: `
unexpected  rows of messages
  found     2 whose row in chats is gone
  They were kept while a foreign key was missing or switched off, and would appear in the next chat with the same id: delete from "chat_store"."messages" r where not exists (select from "chat_store"."chats" p where p.id = r.chat_id)

unexpected  rows of turns
  found     1 whose row in chats is gone
  They were kept while a foreign key was missing or switched off, and would appear in the next chat with the same id: delete from "chat_store"."turns" r where not exists (select from "chat_store"."chats" p where p.id = r.chat_id)

unexpected  rows of turn_chunks
  found     1 whose row in turns is gone
  They were kept while a foreign key was missing or switched off, and would appear in the next chat with the same id: delete from "chat_store"."turn_chunks" r where not exists (select from "chat_store"."turns" p where p.chat_id = r.chat_id and p.id = r.turn_id)`,
  },
  {
    what: "a rule",
    sql: "create rule quiet as on insert to chat_store.messages do instead nothing",
    found: `
unexpected  rule messages.quiet
  found     on insert do instead
  A rule makes statements of the store fail, or changes what they do: drop it, and use a trigger.`,
  },
  {
    what: "a table that inherits from one of them",
    sql: "create table chat_store.archive () inherits (chat_store.messages)",
    found: `
unexpected  child table messages.archive
  found     inherits messages
  The store sees its rows as the table's, but no key covers them: run \`alter table … no inherit …\`.`,
  },
  {
    what: "ids of messages that are unique in all chats",
    sql: "create unique index one on chat_store.messages (id)",
    found: `
unexpected  index messages.one
  found     unique btree (id)
  Some saves fail on it, such as a fork or a second chat: drop it, or add a column of your own to it.`,
  },
  {
    what: "an expression of titles that is unique",
    sql: "create unique index one on chat_store.chats (lower(title)) where archived_at is null",
    found: `
unexpected  index chats.one
  found     unique btree (lower(title)) WHERE archived_at IS NULL
  Some saves fail on it, such as a fork or a second chat: drop it, or add a column of your own to it.`,
  },
  {
    what: "an exclusion constraint",
    sql: "alter table chat_store.chats add constraint one_each exclude using btree (user_id with =)",
    found: `
unexpected  constraint chats.one_each
  found     EXCLUDE USING btree (user_id WITH =)
  Some saves fail on it, such as a fork or a second chat: drop it, or add a column of your own to it.`,
  },
  {
    what: "a column of a domain that is not null, by way of another domain",
    sql: `create domain chat_store.filled as text not null; create domain chat_store.tenant as chat_store.filled;
      alter table chat_store.chats add tenant chat_store.tenant`,
    found: `
unexpected  column chats.tenant
  found     tenant not null
  The store gives it no value, so every save fails: make it nullable, or give it a default.`,
  },
  {
    what: "a ledger that lacks a column",
    sql: "alter table chat_store.migrations drop column breaking",
    found: `
missing     column migrations.breaking
  expected  boolean not null
  Without it migrate and status fail: add it again.`,
  },
  {
    what: "a missing table, as one difference",
    sql: "drop table chat_store.messages",
    found: `
missing     table messages
  expected  ordinary table`,
  },
  {
    what: "a table that does not survive a crash",
    sql: "alter table chat_store.messages set unlogged",
    found: `
changed     table messages
  expected  ordinary table
  found     unlogged ordinary table`,
  },
  {
    what: "a partitioned table",
    sql: `alter table chat_store.messages drop constraint messages_chat_id_chats_id_fk;
      alter table chat_store.turns drop constraint turns_chat_id_chats_id_fk;
      alter table chat_store.branches drop constraint branches_chat_id_chats_id_fk;
      drop table chat_store.chats;
      create table chat_store.chats (id text primary key, user_id text not null, title text not null,
        version integer not null default 1 constraint chats_version_check check (version >= 1),
        created_at timestamptz(3) not null default now(), updated_at timestamptz(3) not null default now(),
        archived_at timestamptz(3), metadata json, claimed_from text) partition by hash (id);
      create index chats_user_idx on chat_store.chats (user_id, updated_at, id);
      alter table chat_store.messages add constraint messages_chat_id_chats_id_fk
        foreign key (chat_id) references chat_store.chats (id) on delete cascade;
      alter table chat_store.turns add constraint turns_chat_id_chats_id_fk
        foreign key (chat_id) references chat_store.chats (id) on delete cascade;
      alter table chat_store.branches add constraint branches_chat_id_chats_id_fk
        foreign key (chat_id) references chat_store.chats (id) on delete cascade`,
    found: `
changed     table chats
  expected  ordinary table
  found     partitioned table`,
  },
  {
    what: "a newer migration that is breaking",
    sql: "insert into chat_store.migrations values (99, '0098_from_the_future', true)",
    found: `
unexpected  migration 99
  found     0098_from_the_future
  It is breaking, and newer than this version of the package: update the package.`,
  },
  {
    what: "a migration of another name",
    sql: "update chat_store.migrations set name = '0000_other' where version = 1",
    found: `
changed     migration 1
  expected  0000_chats
  found     0000_other`,
  },
  {
    what: "a migration that is pending according to the ledger",
    sql: "delete from chat_store.migrations where version = 1",
    found: `
missing     migration 1
  expected  0000_chats
  It is pending: run migrate.`,
  },
];

describe("doctor on damaged tables", () => {
  test.each(damages)("doctor finds $what", async ({ sql, found }) => {
    const database = await openMigrated(() => openWith(nodePostgres));
    await database.query(sql);
    const [summary, ...paragraphs] = (await diagnosisOf(database)).split("\n\n");
    expect(`\n${paragraphs.join("\n\n")}`).toBe(found);
    const count = paragraphs.length === 1 ? "1 difference" : `${paragraphs.length} differences`;
    expect(summary).toBe(`Schema "chat_store" has ${count} from what this version of drizzle-chat-store expects.`);
  });
});

describe("a unique constraint of the application on the order of the messages", () => {
  const messages = conversation(3);
  const [first, second, third] = messages as [UIMessage, UIMessage, UIMessage];
  const changed = { ...first, parts: [] };
  const conversations = [
    [third, second, first],
    [second, changed, third],
    [first, second, say("assistant", "again")],
    [first, third],
    [say("user", "before"), ...messages],
  ];
  const save = async ({ db }: TestDatabase, portable: boolean) => {
    const store = createChatStore(db, { portable });
    for (const messages of [conversation(3), ...conversations]) {
      const ids = { userId: "u", chatId: "c" };
      await store.upsertChat({ ...ids, messages: conversation(3) });
      await store.upsertChat({ ...ids, messages });
      expect((await store.getChat(ids))?.messages).toEqual(messages);
    }
  };

  test("doctor accepts a constraint that is deferrable initially deferred, and every save works with it", async () => {
    const database = await openMigrated(() => openWith(nodePostgres));
    await database.query(`alter table chat_store.messages
      add constraint in_order unique (chat_id, "order") deferrable initially deferred`);
    expect(await diagnose(database.db, "chat_store")).toMatchObject({
      differences: [],
      additions: [{ object: "constraint messages.in_order" }],
    });
    await save(database, false);
    await save(database, true);
  });

  test.each([
    ['alter table chat_store.messages add constraint in_order unique (chat_id, "order")', 'UNIQUE (chat_id, "order")'],
    [
      'alter table chat_store.messages add constraint in_order unique (chat_id, "order") deferrable',
      'UNIQUE (chat_id, "order") DEFERRABLE',
    ],
    ['create unique index in_order on chat_store.messages (chat_id, "order")', 'unique btree (chat_id, "order")'],
  ])("doctor finds any other unique constraint, on which saves fail: %s", async (statement, found) => {
    const database = await openMigrated(() => openWith(nodePostgres));
    await database.query(statement);
    expect((await diagnose(database.db, "chat_store")).differences).toEqual([
      {
        kind: "unexpected",
        object: expect.stringMatching(/^(constraint|index) messages\.in_order$/),
        found,
        advice:
          "Saves that move or replace messages fail on it: make it a constraint that is `deferrable initially deferred`.",
      },
    ]);
    await expect(save(database, true)).rejects.toThrow("23505");
  });
});

describe("doctor on tables with additions", () => {
  test("doctor accepts the application's additions to the tables, and lists them", async () => {
    const database = await openMigrated(() => openWith(nodePostgres));
    await database.query(`
      alter table chat_store.chats add tenant text, add pinned boolean not null default false,
        add number bigint generated always as identity, add constraint "short: title" check (length(title) < 100);
      create index "by USING title" on chat_store.chats using hash (title);
      create function chat_store.touch() returns trigger language plpgsql as 'begin return new; end';
      create trigger touch before update on chat_store.chats for each row execute function chat_store.touch();
      alter table chat_store.chats enable row level security;
      create policy own on chat_store.chats for select using (user_id = current_user) ;
      create table chat_store.votes (chat_id text, message_id text,
        foreign key (chat_id, message_id) references chat_store.messages on delete cascade)`);
    expect(await diagnosisOf(database)).toBe(`\
${healthy}

Added since, and accepted:
  column chats.number: bigint not null generated always as identity
  column chats.pinned: boolean not null default false
  column chats.tenant: text
  constraint chats.short: title: CHECK (length(title) < 100) (saves that violate it fail)
  index chats.by USING title: hash (title)
  policy chats.own: permissive for select using (user_id = CURRENT_USER)
  row level security chats: enabled
  trigger chats.touch: BEFORE UPDATE ON chats FOR EACH ROW EXECUTE FUNCTION touch()`);
  });

  test("doctor accepts constraints that the application may want, with a remark where saves may fail on them", async () => {
    const database = await openMigrated(() => openWith(nodePostgres));
    await database.query(`
      create table public.users (id text primary key);
      alter table chat_store.chats add constraint owner foreign key (user_id) references public.users (id) on delete cascade not valid;
      create domain chat_store.tenant as text not null default 'it''s one';
      alter table chat_store.chats add tenant chat_store.tenant, add slug text;
      create unique index slugs on chat_store.chats (user_id, slug);
      alter table chat_store.chats add constraint owned unique (id, user_id);
      create function chat_store.touch() returns trigger language plpgsql as 'begin return new; end';
      create trigger touch before update on chat_store.chats for each row execute function chat_store.touch();
      alter table chat_store.chats disable trigger touch`);
    expect(await diagnosisOf(database)).toBe(`\
${healthy}

Added since, and accepted:
  column chats.slug: text
  column chats.tenant: tenant not null default 'it''s one'::text
  constraint chats.owned: UNIQUE (id, user_id)
  constraint chats.owner: FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE NOT VALID (saves that violate it fail)
  index chats.slugs: unique btree (user_id, slug) (saves that violate it fail)
  trigger chats.touch: BEFORE UPDATE ON chats FOR EACH ROW EXECUTE FUNCTION touch() (switched off)`);
  });

  test("doctor accepts the additions of newer migrations, and lists them", async () => {
    const database = await openMigrated(() => openWith(nodePostgres));
    await database.query(`
      alter table chat_store.chats add mood text;
      insert into chat_store.migrations values (6, '0005_mood', false), (7, '0006_votes', false)`);
    expect(await diagnosisOf(database)).toBe(`\
${healthy}

Added since, and accepted:
  migration 6: 0005_mood
  migration 7: 0006_votes
  column chats.mood: text`);
  });

  test("doctor accepts tables without a ledger, as an application's own migrations make them", async () => {
    const database = await openMigrated(() => openWith(nodePostgres));
    await database.query("drop table chat_store.migrations");
    expect(await diagnose(database.db, "chat_store")).toEqual({ differences: [], additions: [], ledger: false });
    expect(await diagnosisOf(database)).toBe(
      `${healthy}\n\nThere is no ledger: run migrate, unless your own migrations create the tables.`,
    );
  });
});

describe("doctor on a session with settings of its own", () => {
  const withOptions = async (options: string) => {
    const database = await openWith((url) => nodePostgres(`${url}?options=${encodeURIComponent(options)}`));
    onTestFinished(database.close);
    return database;
  };

  test.each([
    "quote_all_identifiers=on",
    "datestyle=German",
    "search_path=",
    "bytea_output=escape",
    "standard_conforming_strings=off",
    "default_transaction_isolation=serializable",
    "default_transaction_read_only=on",
    "extra_float_digits=-15",
    "row_security=off",
    "check_function_bodies=off",
    "array_nulls=off",
    "transform_null_equals=on",
    "intervalstyle=sql_standard",
  ])("doctor finds no difference with %s, and status reads the ledger", async (setting) => {
    const { db } = await withOptions(`-c ${setting}`);
    expect(await diagnose(db, "chat_store")).toEqual({ differences: [], additions: [], ledger: true });
    const { applied } = await statusOf(db, "chat_store");
    expect(applied).toHaveLength(5);
    for (const { appliedAt } of applied) expect(appliedAt.getTime()).not.toBeNaN();
  });

  test("doctor finds foreign keys that the session switches off", async () => {
    const { db } = await withOptions("-c session_replication_role=replica");
    expect((await diagnose(db, "chat_store")).differences).toMatchObject([
      { object: "setting session_replication_role", expected: "origin", found: "replica" },
    ]);
  });
});

test("migrate and status refuse a ledger that lacks a column, and name it", async () => {
  const database = await openMigrated(() => openWith(nodePostgres));
  await database.query("alter table chat_store.migrations drop column breaking");
  const refusal = {
    code: "MIGRATION_FAILED",
    message: expect.stringMatching(/^The ledger .* lacks breaking, .*doctor/),
  };
  await expect(migrate(database.db)).rejects.toMatchObject(refusal);
  await expect(statusOf(database.db, "chat_store")).rejects.toMatchObject(refusal);
});

test("doctor does without counting rows where its role may not read them", async () => {
  const database = await openMigrated(() => openWith(nodePostgres));
  const role = `doctor_${process.pid}`;
  await database.query(`create role ${role}; grant usage on schema chat_store to ${role};
    grant select on chat_store.migrations, chat_store.chats to ${role}`);
  onTestFinished(async () => void (await database.query(`drop owned by ${role}; drop role ${role}`)));
  await database.db.transaction(async (tx) => {
    await tx.execute(`set local role ${role}`);
    expect((await diagnose(tx, "chat_store")).differences).toEqual([]);
  });
});

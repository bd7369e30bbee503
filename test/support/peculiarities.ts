/**
 * What an application, or its database's administrator, may have done to the tables and to the sessions that use them. None of
 * it may change what the store does.
 */
export interface Peculiarity {
  /** What every connection has set. */
  settings: Record<string, string>;
  /** SQL that is run once the tables are there. */
  changes: string[];
}

const tables = ["chats", "messages", "turns", "turn_chunks", "branches"].map((name) => `chat_store.${name}`);

/** Names that people choose, and those that the store's own statements use for something else. */
const columnNames =
  `pinned_at archived summary total role parts metadata digest order text chat chats message messages turn
  turns chunk question answer stored state updated created saved written locked excluded m s c t k l one_row no_rows
  current_chat stored_messages updated_chat created_chat saved_chat inserted_messages written_chat change_1 change_2 outcome
  row_version prefix_digest needs_diff position incoming moved removed differs found loaded anchor window_start last_messages
  data kind rank chat_of_user page scanned_chats scanned_messages measured_messages message_keys sized_messages sized read_messages
  compressed compressed_before bytes bytes_before top length first stopped_at scanned_to hits measured_hits sent_hits sent_before
  last_hit next next_place counted_chats messages_before source locked_chat new_chat copied_messages found_chats locked_chats
  claimed_chats claim tokens running running_turns running_turn accessible_chat inserted_piece asked_turns pieces measured batch
  deleted_chats deleted_chat user_chats previous owned changed last deleted
  branch branches branch_id after_id parent number place kept free closed others message_count deleted_branches`.split(
    /\s+/,
  );

const columns: Peculiarity = {
  settings: {},
  changes: [
    ...tables.flatMap((table) =>
      columnNames.map((name) => `alter table ${table} add column if not exists "${name}" int`),
    ),
    ...tables.flatMap((table) => [
      `alter table ${table} add column "required" text not null default 'by the application'`,
      `alter table ${table} add column "many words" jsonb not null default '{"embedding": [0.1, 0.2]}'`,
    ]),
    "alter table chat_store.chats add column letters int generated always as (length(title)) stored",
    "alter table chat_store.messages add column words tsvector generated always as (to_tsvector('simple', parts::text)) stored",
    "create index on chat_store.messages using gin (words)",
  ],
};

const triggers: Peculiarity = {
  settings: {},
  changes: [
    'alter table chat_store.messages add constraint one_place unique (chat_id, "order") deferrable initially deferred',
    "create table audit (at timestamptz default now(), what text)",
    "alter table chat_store.chats add column count int not null default 0, add column touched_at timestamptz",
    `create function audit() returns trigger language plpgsql security definer as $$ begin
       insert into public.audit (what) values (tg_table_name || ' ' || tg_op);
       return coalesce(new, old);
     end $$`,
    ...tables.map(
      (table) =>
        `create trigger audit after insert or update or delete on ${table} for each row execute function audit()`,
    ),
    `create function touch() returns trigger language plpgsql security definer as $$ begin
       new.touched_at := clock_timestamp();
       return new;
     end $$`,
    "create trigger touch before insert or update on chat_store.chats for each row execute function touch()",
    // Changes the chat's row once more, behind the statement that saved it.
    `create function count_messages() returns trigger language plpgsql security definer as $$ begin
       update chat_store.chats set count = (select count(*) from chat_store.messages where chat_id = coalesce(new.chat_id, old.chat_id))
       where id = coalesce(new.chat_id, old.chat_id);
       return null;
     end $$`,
    "create trigger count after insert or delete on chat_store.messages for each row execute function count_messages()",
    "create publication everything for all tables",
  ],
};

/** A table like the one that is there, in four partitions. */
const partitioned = (name: string, key: string, references: string[]) => [
  `alter table chat_store.${name} rename to ${name}_whole`,
  `create table chat_store.${name} (like chat_store.${name}_whole including all) partition by hash (${key})`,
  ...[0, 1, 2, 3].map(
    (rest) =>
      `create table chat_store.${name}_${rest} partition of chat_store.${name} for values with (modulus 4, remainder ${rest})`,
  ),
  `drop table chat_store.${name}_whole cascade`,
  ...references.map((reference) => `alter table chat_store.${name} add foreign key ${reference} on delete cascade`),
];

const partitions: Peculiarity = {
  settings: {},
  changes: [
    ...partitioned("chats", "id", []),
    ...partitioned("messages", "chat_id", ["(chat_id) references chat_store.chats (id)"]),
    ...partitioned("turns", "chat_id", ["(chat_id) references chat_store.chats (id)"]),
    ...partitioned("turn_chunks", "chat_id", ["(chat_id, turn_id) references chat_store.turns (chat_id, id)"]),
    ...partitioned("branches", "chat_id", [
      "(chat_id) references chat_store.chats (id)",
      "(chat_id, parent) references chat_store.branches (chat_id, id)",
    ]),
  ],
};

export const peculiarTables = {
  "columns of the application": columns,
  "triggers, a unique order and a publication": triggers,
  "partitions by hash": partitions,
};

export const peculiarSessions: Record<string, Peculiarity> = {
  "dates as in Spain, old strings and old bytes": {
    settings: {
      datestyle: "SQL, DMY",
      standard_conforming_strings: "off",
      bytea_output: "escape",
      timezone: "Asia/Kathmandu",
    },
    changes: [],
  },
  "dates as in Germany, no search path, repeatable read": {
    settings: {
      datestyle: "German",
      search_path: "",
      default_transaction_isolation: "repeatable read",
      timezone: "<+0130>-01:30",
    },
    changes: [],
  },
  "intervals by SQL, plans made once, serializable": {
    settings: {
      intervalstyle: "sql_standard",
      plan_cache_mode: "force_generic_plan",
      default_transaction_isolation: "serializable",
      timezone: "America/St_Johns",
      extra_float_digits: "0",
    },
    changes: [],
  },
};

export const peculiarities: Record<string, Peculiarity> = { ...peculiarTables, ...peculiarSessions };

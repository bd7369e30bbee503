import { eq, type SQL, sql } from "drizzle-orm";
import {
  boolean,
  check,
  customType,
  foreignKey,
  index,
  integer,
  json,
  pgSchema,
  primaryKey,
  text,
  timestamp,
  uuid,
} from "drizzle-orm/pg-core";

/** Where the tables live unless told otherwise: apart from the application's own tables and its `drizzle-kit push`. */
export const defaultSchema = "chat_store";

const bytea = customType<{ data: Uint8Array }>({ dataType: () => "bytea" });

// A text becomes its bytes by `::bytea`, which reads backslashes as escapes, hence the doubling. `convert_to` would say
// it more plainly, but is not immutable. The lengths keep "a" + "bc" apart from "ab" + "c".
const digestExpression = sql.raw(
  "substr(sha256(replace(" +
    "octet_length(id)::text || ':' || id || octet_length(role)::text || ':' || role" +
    " || coalesce(octet_length(metadata::text), 0)::text || ':' || coalesce(metadata::text, '') || parts::text," +
    " chr(92), repeat(chr(92), 2))::bytea), 1, 16)",
);

/**
 * The tables under a Postgres schema name of your choice, for use in your own Drizzle queries:
 * `const { chats, messages } = chatTables("assistant")`.
 */
export function chatTables<const Name extends string>(schemaName: Name) {
  const schema = pgSchema(schemaName);

  const chats = schema.table(
    "chats",
    {
      id: text("id").primaryKey(),
      userId: text("user_id").notNull(),
      title: text("title").notNull(),
      version: integer("version").notNull().default(1),
      createdAt: milliseconds("created_at"),
      updatedAt: milliseconds("updated_at"),
      archivedAt: timestamp("archived_at", { withTimezone: true, precision: 3, mode: "date" }),
      metadata: json("metadata"),
      /** Of each turn that ran when another user claimed the chat, the token by which it goes on. Between them are blanks. */
      claimedFrom: text("claimed_from"),
    },
    (table) => [
      // Ascending and scanned backward: `.desc()` here would mean NULLS LAST, which a plain `order by … desc` cannot use.
      index("chats_user_idx").on(table.userId, table.updatedAt, table.id),
      check("chats_version_check", sql`version >= 1`),
    ],
  );

  const messages = schema.table(
    "messages",
    {
      chatId: text("chat_id")
        .notNull()
        .references(() => chats.id, { onDelete: "cascade" }),
      id: text("id").notNull(),
      order: integer("order").notNull(),
      role: text("role").notNull(),
      // json, not jsonb: jsonb refuses \u0000 and lone surrogates and reorders keys. Never apply `->` to it: that parses.
      parts: json("parts").notNull(),
      // SQL NULL: the message had no metadata. JSON null: its metadata was null.
      metadata: json("metadata"),
      createdAt: milliseconds("created_at"),
      // Computed by Postgres, so that it is right also after an edit by hand. `digestOf` in messages.ts is its twin.
      digest: bytea("digest").notNull().generatedAlwaysAs(digestExpression),
    },
    // Ids come from browsers: they are unique within a chat only, so nobody can occupy another chat's.
    (table) => [
      primaryKey({ columns: [table.chatId, table.id] }),
      // For pages and windows of long chats, which are read from the end.
      index("messages_order_idx").on(table.chatId, table.order),
      check("messages_order_check", sql`"order" >= 0`),
    ],
  );

  // One row for each turn that runs or has ended a moment ago. Never a lock: what nobody finishes is swept by who comes by.
  const turns = schema.table(
    "turns",
    {
      chatId: text("chat_id")
        .notNull()
        .references(() => chats.id, { onDelete: "cascade" }),
      id: uuid("id").notNull(),
      /** The message that is answered, and its digest as it was asked. */
      questionId: text("question_id").notNull(),
      questionDigest: bytea("question_digest").notNull(),
      /** Drawn when the turn starts. Of a turn that continues an assistant message, that message's. */
      answerId: text("answer_id").notNull(),
      /** The ids of the messages that the answer's save removes, if they still stand: an array. */
      replaces: json("replaces").notNull(),
      startedAt: milliseconds("started_at"),
      /** The last sign of life, or a time until which none is expected. */
      beatAt: milliseconds("beat_at"),
      /** Set by the turn itself: its answer is stored. With `interrupted`, by who found it dead. */
      endedAt: timestamp("ended_at", { withTimezone: true, precision: 3, mode: "date" }),
      /** How many rows are recorded: what the next one is compared with. */
      chunks: integer("chunks").notNull().default(0),
      /** Somebody has asked it to stop. */
      stop: boolean("stop").notNull().default(false),
      /** A later change took its place: its answer is not stored any more. The table in docs/turns.md says which. */
      superseded: boolean("superseded").notNull().default(false),
      interrupted: boolean("interrupted").notNull().default(false),
      /**
       * The digest of the answer that its recording became when it was taken for dead; null if it became none. While the stored message
       * is this one, the turn's whole answer may take its place.
       */
      recoveredDigest: bytea("recovered_digest"),
      /** How many parts that answer had before its recording: those of the message that the turn continues. */
      recoveredAfter: integer("recovered_after"),
    },
    (table) => [primaryKey({ columns: [table.chatId, table.id] })],
  );

  // What a running turn has said, as the events of its stream. Chat text, for a minute longer than the turn runs.
  const turnChunks = schema.table(
    "turn_chunks",
    {
      chatId: text("chat_id").notNull(),
      turnId: uuid("turn_id").notNull(),
      seq: integer("seq").notNull(),
      text: text("text").notNull(),
    },
    (table) => [
      primaryKey({ columns: [table.chatId, table.turnId, table.seq] }),
      foreignKey({ columns: [table.chatId, table.turnId], foreignColumns: [turns.chatId, turns.id] }).onDelete(
        "cascade",
      ),
    ],
  );

  return { schema, chats, messages, turns, turnChunks };
}

export type ChatTables = ReturnType<typeof chatTables<string>>;

// With their types named, or the declarations would spell out each column of each table twice.
type DefaultTables = ReturnType<typeof chatTables<typeof defaultSchema>>;
const defaultTables = chatTables(defaultSchema);
export const chatStoreSchema: DefaultTables["schema"] = defaultTables.schema;
export const chats: DefaultTables["chats"] = defaultTables.chats;
export const messages: DefaultTables["messages"] = defaultTables.messages;
export const turns: DefaultTables["turns"] = defaultTables.turns;
export const turnChunks: DefaultTables["turnChunks"] = defaultTables.turnChunks;

/** The one place that compares the owner. Every statement of the store has it in its `where`, or follows one that locked the chat with it. */
export const ownedBy = (chats: ChatTables["chats"], userId: string | SQL): SQL => eq(chats.userId, userId);

/** Who asks about a chat: its user, or a turn that this user began, which goes on when another user claims the chat. */
export interface Actor {
  userId: string;
  turnId?: string | undefined;
}

export const accessibleTo = (chats: ChatTables["chats"], { userId, turnId }: Actor): SQL =>
  turnId
    ? sql`(${ownedBy(chats, userId)} or strpos(${chats.claimedFrom}, ${turnToken(turnId, userId)}) > 0)`
    : ownedBy(chats, userId);

/** The token of a turn in `claimed_from`: made of its id, which only its own process knows, and of the user who began it. It tells neither. */
export const turnToken = (turnId: string | SQL, userId: string): SQL =>
  sql`encode(sha256(convert_to(${turnId}::text || ' ' || ${userId}::text, 'UTF8')), 'hex')`;

// A JavaScript Date holds milliseconds. With Postgres's microseconds a page of chats would skip some.
function milliseconds(name: string) {
  return timestamp(name, { withTimezone: true, precision: 3, mode: "date" }).notNull().defaultNow();
}

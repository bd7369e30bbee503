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

/** The default Postgres schema. `drizzle-kit push` for the application's own schema leaves these tables alone. */
export const defaultSchema = "chat_store";

const bytea = customType<{ data: Uint8Array }>({ dataType: () => "bytea" });

// The cast to bytea reads backslashes as escapes, so they are doubled. `convert_to` would be simpler, but is not
// immutable. The lengths distinguish "a" + "bc" from "ab" + "c".
const digestExpression = sql.raw(
  "substr(sha256(replace(" +
    "octet_length(id)::text || ':' || id || octet_length(role)::text || ':' || role" +
    " || coalesce(octet_length(metadata::text), 0)::text || ':' || coalesce(metadata::text, '') || parts::text," +
    " chr(92), repeat(chr(92), 2))::bytea), 1, 16)",
);

/**
 * The tables in a Postgres schema of any name, for your own Drizzle queries:
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
      createdAt: timestampMs("created_at").notNull().defaultNow(),
      updatedAt: timestampMs("updated_at").notNull().defaultNow(),
      archivedAt: timestampMs("archived_at"),
      metadata: json("metadata"),
      /** Tokens, separated by blanks, of turns that keep access to the chat after another user has claimed it. */
      claimedFrom: text("claimed_from"),
    },
    (table) => [
      // Ascending, and scanned backward: `.desc()` would mean NULLS LAST, which a plain `order by … desc` cannot use.
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
      // jsonb refuses \u0000 and lone surrogates, and reorders keys. Never apply `->` to json, because it parses.
      parts: json("parts").notNull(),
      // SQL NULL: the message had no metadata. JSON null: its metadata was null.
      metadata: json("metadata"),
      createdAt: timestampMs("created_at").notNull().defaultNow(),
      // Computed by Postgres, so that it is correct after direct SQL, too. `digestOf` in message-row.ts is its twin.
      digest: bytea("digest").notNull().generatedAlwaysAs(digestExpression),
    },
    // Ids come from browsers. The key contains the chat, so that a client cannot take an id of another user's chat.
    (table) => [
      primaryKey({ columns: [table.chatId, table.id] }),
      // For pages and windows of long chats, which are read from the end.
      index("messages_order_idx").on(table.chatId, table.order),
      check("messages_order_check", sql`"order" >= 0`),
    ],
  );

  // One row per turn that runs or ended lately. A row is never a lock. Later turns of the chat delete expired rows.
  const turns = schema.table(
    "turns",
    {
      chatId: text("chat_id")
        .notNull()
        .references(() => chats.id, { onDelete: "cascade" }),
      id: uuid("id").notNull(),
      /** The question: the message that the turn answers, and that message's digest when the turn started. */
      questionId: text("question_id").notNull(),
      questionDigest: bytea("question_digest").notNull(),
      /** The id of the answer: a new one, or that of the assistant message that the turn continues. */
      answerId: text("answer_id").notNull(),
      /** An array of the ids of the messages that the answer replaces, as far as they still exist. */
      replaces: json("replaces").notNull(),
      startedAt: timestampMs("started_at").notNull().defaultNow(),
      /**
       * The last heartbeat, or the time of the first one that is expected; 'epoch' after the turn's process gave up.
       */
      beatAt: timestampMs("beat_at").notNull().defaultNow(),
      /** Set when the answer is stored, or together with `interrupted` when another process finds the turn dead. */
      endedAt: timestampMs("ended_at"),
      /** The number of rows in turn_chunks, which the recorder compares with its own count before it adds one. */
      chunks: integer("chunks").notNull().default(0),
      /** Set by `stopTurn`. */
      stop: boolean("stop").notNull().default(false),
      /** A later change superseded the turn, so that its answer is not stored. See the table in docs/turns.md. */
      superseded: boolean("superseded").notNull().default(false),
      interrupted: boolean("interrupted").notNull().default(false),
      /**
       * The digest of the message that was recovered from the recording of a dead turn; null if there is none. While
       * the stored message has this digest, the turn may still replace it with its whole answer.
       */
      recoveredDigest: bytea("recovered_digest"),
      /** The number of that message's parts before the recording, because the turn continues a message. */
      recoveredAfter: integer("recovered_after"),
    },
    (table) => [primaryKey({ columns: [table.chatId, table.id] })],
  );

  // Recordings of turns: the events of their streams, which are chat content. Deleted a minute after the turn ends.
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

  // What answers and edits have replaced, for stores with the option `branches`. The conversation itself stays linear:
  // `messages` has only the current alternative, and no read of it reads this table.
  const branches = schema.table(
    "branches",
    {
      chatId: text("chat_id")
        .notNull()
        .references(() => chats.id, { onDelete: "cascade" }),
      id: uuid("id").notNull(),
      /** The id of the message after which these messages stood; null at the beginning of the chat. */
      afterId: text("after_id"),
      /** The branch that holds that message; null if it is in the conversation. The ids of messages may repeat. */
      parent: uuid("parent"),
      /** The number of this alternative. The current one has the smallest number that is free. */
      position: integer("position").notNull(),
      createdAt: timestampMs("created_at").notNull().defaultNow(),
      messageCount: integer("message_count").notNull(),
      /**
       * An array of `[id, role, parts, metadata, created_at]`, all texts: parts and metadata as they are stored, the
       * time in seconds since 1970.
       */
      messages: json("messages").notNull(),
    },
    (table) => [
      primaryKey({ columns: [table.chatId, table.id] }),
      foreignKey({ columns: [table.chatId, table.parent], foreignColumns: [table.chatId, table.id] }).onDelete(
        "cascade",
      ),
      // For the foreign key above, and for the branches of the conversation.
      index("branches_parent_idx").on(table.chatId, table.parent),
      check("branches_position_check", sql`position >= 1`),
    ],
  );

  return { schema, chats, messages, turns, turnChunks, branches };
}

export type ChatTables = ReturnType<typeof chatTables<string>>;

// The types are named, because the declarations would otherwise repeat each column of each table.
type DefaultTables = ReturnType<typeof chatTables<typeof defaultSchema>>;
const defaultTables = chatTables(defaultSchema);
export const chatStoreSchema: DefaultTables["schema"] = defaultTables.schema;
export const chats: DefaultTables["chats"] = defaultTables.chats;
export const messages: DefaultTables["messages"] = defaultTables.messages;
export const turns: DefaultTables["turns"] = defaultTables.turns;
export const turnChunks: DefaultTables["turnChunks"] = defaultTables.turnChunks;
export const branches: DefaultTables["branches"] = defaultTables.branches;

/** The only comparison of the owner. Every statement contains it, or follows one that did and locked the chat. */
export const ownedBy = (chats: ChatTables["chats"], userId: string | SQL): SQL => eq(chats.userId, userId);

/** The user of a call, or a turn of that user, which keeps access to its chat after another user has claimed it. */
export interface Actor {
  userId: string;
  turnId?: string | undefined;
}

export const accessibleTo = (chats: ChatTables["chats"], { userId, turnId }: Actor): SQL =>
  turnId
    ? sql`(${ownedBy(chats, userId)} or strpos(${chats.claimedFrom}, ${turnToken(turnId, userId)}) > 0)`
    : ownedBy(chats, userId);

/** The token of a turn in `claimed_from`: a digest of its user and its id, which only its own process knows. */
export const turnToken = (turnId: string | SQL, userId: string): SQL =>
  sql`encode(sha256(convert_to(${turnId}::text || ' ' || ${userId}::text, 'UTF8')), 'hex')`;

// A JavaScript Date has milliseconds. If the column had microseconds, paging by a Date would skip chats.
function timestampMs(name: string) {
  return timestamp(name, { withTimezone: true, precision: 3, mode: "date" });
}

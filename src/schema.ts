import { eq, type SQL, sql } from "drizzle-orm";
import { check, customType, index, integer, json, pgSchema, primaryKey, text, timestamp } from "drizzle-orm/pg-core";

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
    (table) => [primaryKey({ columns: [table.chatId, table.id] })],
  );

  return { schema, chats, messages };
}

export type ChatTables = ReturnType<typeof chatTables<string>>;

export const { schema: chatStoreSchema, chats, messages } = chatTables(defaultSchema);

/** The one place that compares the owner. Every statement of the store has it in its `where`, or follows one that locked the chat with it. */
export const ownedBy = (chats: ChatTables["chats"], userId: string | SQL): SQL => eq(chats.userId, userId);

// A JavaScript Date holds milliseconds. With Postgres's microseconds a page of chats would skip some.
function milliseconds(name: string) {
  return timestamp(name, { withTimezone: true, precision: 3, mode: "date" }).notNull().defaultNow();
}

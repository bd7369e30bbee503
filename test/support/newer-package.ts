import { createChatStore } from "../../src/index.ts";
import { applyMigrations } from "../../src/migrate/migrate.ts";
import { type Migration, migrations } from "../../src/migrate/migrations.ts";
import { nodePostgres, openWith } from "./databases.ts";

/** What a newer version of the package may add: this one stands in for the older, which knows nothing of it. */
const additive: Migration = {
  version: migrations.length + 1,
  name: "9998_additive",
  breaking: false,
  statements: [
    // Not in the order in which saves take the tables.
    `ALTER TABLE "chat_store"."messages" ADD COLUMN "weight" integer DEFAULT 1 NOT NULL`,
    `ALTER TABLE "chat_store"."chats" ADD COLUMN "mood" text, ADD COLUMN "balance" integer DEFAULT 0 NOT NULL`,
    `ALTER TABLE "chat_store"."turns" ADD COLUMN "mood" text`,
    `CREATE INDEX "chats_mood_idx" ON "chat_store"."chats" ("mood")`,
    `CREATE TABLE "chat_store"."votes" (
  "chat_id" text NOT NULL REFERENCES "chat_store"."chats" ON DELETE cascade, "id" text NOT NULL, PRIMARY KEY ("chat_id", "id")
)`,
  ],
};

export const newerMigrations: readonly Migration[] = [...migrations, additive];

/** A database that a newer version of the package has migrated before this one does. */
export const onNewerTables = {
  name: "node-postgres",
  mode: "on the tables of a newer version",
  transactions: true,
  storeOn: createChatStore,
  open: async () => {
    const database = await openWith(nodePostgres);
    await applyMigrations(database.migrator, "chat_store", undefined, newerMigrations);
    return database;
  },
};

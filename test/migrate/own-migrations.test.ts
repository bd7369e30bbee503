import { execFile } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { drizzle } from "drizzle-orm/node-postgres";
import { migrate as migrateOwn } from "drizzle-orm/node-postgres/migrator";
import pg from "pg";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import catalog from "../../migrations/catalog.json" with { type: "json" };
import { createChatStore, migrate } from "../../src/index.ts";
import { readCatalog } from "../../src/migrate/catalog.ts";
import { diagnose } from "../../src/migrate/doctor.ts";
import { conversation } from "../support/conversations.ts";
import { createDatabase } from "../support/databases.ts";
import { temporaryFolder } from "../support/folder.ts";
import { root } from "../support/pack.ts";
import { blocksOf } from "../support/pages.ts";
import { unpackRelease } from "../support/releases.ts";

/**
 * An application that makes our tables in its own drizzle-kit migrations, twice, in both ways that docs/migrations.md shows:
 * re-exported, and under another name with a table of its own that refers to them.
 */
const schemas = ["chat_store", "assistant"];
const source = `export * from "drizzle-chat-store/schema";
import { chatTables } from "drizzle-chat-store/schema";
import { foreignKey, pgTable, text } from "drizzle-orm/pg-core";

const { schema, chats, messages, turns, turnChunks, branches } = chatTables("assistant");
export { schema as assistant, chats as itsChats, messages as itsMessages, turns as itsTurns };
export { turnChunks as itsTurnChunks, branches as itsBranches };

export const votes = pgTable(
  "votes",
  { chatId: text().notNull(), messageId: text().notNull() },
  (vote) => [
    foreignKey({ columns: [vote.chatId, vote.messageId], foreignColumns: [messages.chatId, messages.id] }).onDelete("cascade"),
  ],
);
`;

async function drizzleKit(folder: string, args: string[], databaseUrl?: string) {
  const bin = join(root, "node_modules", "drizzle-kit", "bin.cjs");
  const env = { ...process.env, DATABASE_URL: databaseUrl };
  return (await promisify(execFile)(process.execPath, [bin, ...args], { cwd: folder, env })).stdout;
}

async function openDatabase() {
  const { url, drop } = await createDatabase({ empty: true });
  const pool = new pg.Pool({ connectionString: url });
  pool.on("error", () => {});
  onTestFinished(async () => {
    await pool.end();
    await drop();
  });
  return { url, db: drizzle(pool) };
}

describe("drizzle-kit of an application with our tables", () => {
  const folder = temporaryFolder("own-migrations");
  const kit = (args: string[], databaseUrl?: string) => drizzleKit(folder, args, databaseUrl);

  beforeAll(async () => {
    await writeFile(join(folder, "schema.ts"), source);
    await writeFile(
      join(folder, "drizzle.config.ts"),
      `import { defineConfig } from "drizzle-kit";

export default defineConfig({
  dialect: "postgresql",
  schema: "./schema.ts",
  schemaFilter: ${JSON.stringify(["public", ...schemas])},
  dbCredentials: { url: process.env.DATABASE_URL! },
});
`,
    );
  });

  const expectHealthy = async (db: ReturnType<typeof drizzle>) => {
    for (const schema of schemas) {
      expect(await db.transaction((tx) => readCatalog(tx, schema))).toEqual(catalog);
      expect(await diagnose(db, schema)).toEqual({ differences: [], additions: [], ledger: false });
      const store = createChatStore(db, { schema });
      await store.upsertChat({ userId: "u", chatId: "c", messages: conversation(3) });
      expect((await store.getChat({ userId: "u", chatId: "c" }))?.messages).toEqual(conversation(3));
    }
  };

  test("drizzle-kit generates exactly the tables that migrate makes, and migrate then refuses to change them", async () => {
    const { db } = await openDatabase();
    await kit(["generate"]);
    await migrateOwn(db, { migrationsFolder: join(folder, "drizzle") });
    await expectHealthy(db);
    expect(await kit(["generate"])).toContain("No schema changes");

    for (const schema of schemas) {
      await expect(migrate(db, { schema })).rejects.toThrow(
        /if your own migrations create the tables, do not call migrate/,
      );
    }
    await expectHealthy(db);
  });

  test("drizzle-kit generates the additions of an update, and nothing else", async () => {
    const { db } = await openDatabase();
    const { folder: released, remove } = await unpackRelease("0.1.0");
    onTestFinished(remove);
    await rm(join(folder, "drizzle"), { recursive: true, force: true });
    const before = source.replaceAll("drizzle-chat-store/schema", join(released, "dist", "schema.js"));
    await writeFile(join(folder, "schema.ts"), before);
    await kit(["generate"]);
    await migrateOwn(db, { migrationsFolder: join(folder, "drizzle") });
    for (const schema of schemas) {
      expect((await diagnose(db, schema)).differences.map(({ kind, object }) => `${kind} ${object}`)).toEqual([
        "missing column chats.archived_at",
        "missing column chats.claimed_from",
        "missing column chats.metadata",
        "missing column turns.recovered_after",
        "missing column turns.recovered_digest",
        "missing index messages.messages_order_idx",
        "missing table branches",
      ]);
    }
    await writeFile(join(folder, "schema.ts"), source);
    await kit(["generate"]);
    await migrateOwn(db, { migrationsFolder: join(folder, "drizzle") });
    await expectHealthy(db);
  });

  // Once, into an empty database: of tables that are there, drizzle-kit 0.31 may read the columns of a composite key in another
  // order than they have, and replace the key.
  test("drizzle-kit pushes exactly the tables that migrate makes", async () => {
    const { db, url } = await openDatabase();
    await kit(["push", "--force"], url);
    await expectHealthy(db);
  });
});

describe("drizzle-kit of an application beside the tables that migrate makes", () => {
  const folder = temporaryFolder("push-beside-migrate");

  test("drizzle-kit push with the configuration of docs/migrations.md makes the application's tables and leaves ours alone", async () => {
    const config = blocksOf("docs/migrations.md").find(({ note }) => note === "drizzle config")?.text ?? expect.fail();
    await writeFile(join(folder, "drizzle.config.ts"), config);
    await writeFile(
      join(folder, "schema.ts"),
      `import { pgTable, text } from "drizzle-orm/pg-core";\nexport const accounts = pgTable("accounts", { id: text().primaryKey() });\n`,
    );
    const { db, url } = await openDatabase();
    await migrate(db);
    await createChatStore(db).upsertChat({ userId: "u", chatId: "c", messages: conversation(3) });
    await drizzleKit(folder, ["push", "--force"], url);
    await db.execute("select id from accounts");
    expect(await diagnose(db, "chat_store")).toEqual({ differences: [], additions: [], ledger: true });
    expect((await createChatStore(db).getChat({ userId: "u", chatId: "c" }))?.messages).toEqual(conversation(3));
    expect(await drizzleKit(folder, ["push", "--force"], url)).toContain("No changes detected");
  });
});

/**
 * What the types promise. Compiled, not run: `npm run types` fails when a line marked as an error no longer is one.
 */
import { PGlite } from "@electric-sql/pglite";
import type { InferUITools, Tool, UIMessage } from "ai";
import type { GelJsDatabase } from "drizzle-orm/gel";
import { drizzle as drizzleMySql } from "drizzle-orm/mysql-proxy";
import type { NetlifyDbDatabase } from "drizzle-orm/netlify-db";
import { drizzle as drizzlePg } from "drizzle-orm/node-postgres";
import { type PgDatabase, type PgQueryResultHKT, pgTable, text, withReplicas } from "drizzle-orm/pg-core";
import { drizzle as drizzlePglite } from "drizzle-orm/pglite";
import { drizzle as drizzlePostgresJs } from "drizzle-orm/postgres-js";
import type { PrismaPgDatabase } from "drizzle-orm/prisma/pg";
import { drizzle as drizzleSingleStore } from "drizzle-orm/singlestore-proxy";
import { drizzle as drizzleSqlite } from "drizzle-orm/sqlite-proxy";
import pg from "pg";
import postgres from "postgres";
import {
  type Chat,
  type ChatDatabase,
  type ChatStore,
  type ChatWithMessages,
  createChatStore,
  migrate,
} from "../src/index.ts";
import { chats, chatTables, messages } from "../src/schema.ts";

type Tools = InferUITools<{ weather: Tool<{ city: string }, { celsius: number }> }>;
type MyMessage = UIMessage<{ model: string }, { progress: { done: number } }, Tools>;
type OtherMessage = UIMessage<{ price: number }>;

declare const mine: MyMessage[];
declare const others: OtherMessage[];

export async function promises() {
  const pglite = drizzlePglite(new PGlite());
  const store = createChatStore<MyMessage>(pglite);

  const chat: Chat = await store.upsertChat({ userId: "u", chatId: "c", messages: mine });
  const loaded: ChatWithMessages<MyMessage> | null = await store.getChat({ userId: "u", chatId: "c" });
  const model: string | undefined = loaded?.messages[0]?.metadata?.model;
  const list: Chat[] = await store.getChats({ userId: "u", limit: 20, before: chat });
  await store.upsertChat({
    userId: "u",
    chatId: "c",
    title: undefined,
    expectedVersion: undefined,
    messages: Object.freeze(mine),
  });

  // @ts-expect-error nobody saves without a userId
  await store.upsertChat({ chatId: "c", messages: mine });
  // @ts-expect-error nobody reads without a userId
  await store.getChat({ chatId: "c" });
  // @ts-expect-error nobody lists without a userId
  await store.getChats({});
  // @ts-expect-error messages of another type than the store's
  await store.upsertChat({ userId: "u", chatId: "c", messages: others });
  // @ts-expect-error what comes back is not of another type either
  const wrong: OtherMessage[] | undefined = (await store.getChat({ userId: "u", chatId: "c" }))?.messages;
  // @ts-expect-error the list has no messages
  list[0]?.messages;
  // @ts-expect-error getChat may give null
  loaded.messages;
  // @ts-expect-error a page goes on after a chat, not after a number
  await store.getChats({ userId: "u", before: 20 });
  return [model, wrong];
}

/** Every driver, with and without a schema of the application's own, and transactions: no cast. */
export async function everyDatabase(
  netlify: NetlifyDbDatabase,
  prisma: PrismaPgDatabase,
  someDriver: PgDatabase<PgQueryResultHKT>,
) {
  const notes = pgTable("notes", { id: text("id") });
  for (const db of [
    drizzlePg(""),
    drizzlePg("", { schema: { notes } }),
    drizzlePostgresJs(""),
    drizzlePglite(new PGlite(), { schema: { notes } }),
    withReplicas(drizzlePg(""), [drizzlePg("")]),
    withReplicas(drizzlePg("", { schema: { notes } }), [drizzlePg("", { schema: { notes } })]),
    ...[netlify, prisma, someDriver],
  ]) {
    await migrate(db);
    createChatStore(db);
  }
  const db = drizzlePg("", { schema: { notes, chats, messages } });
  await db.transaction(async (tx) => {
    await tx.transaction(async (savepoint) => createChatStore(savepoint, { prepare: true }));
    return createChatStore<MyMessage>(tx).getChats({ userId: "u" });
  });
  const joined: { title: string; order: number | null }[] = await db
    .select({ title: chats.title, order: messages.order })
    .from(chats)
    .leftJoin(messages, () => messages.chatId.getSQL());
  const own = chatTables("assistant");
  const titles: { title: string }[] = await db.select({ title: own.chats.title }).from(own.chats);
  return [joined, titles];
}

export async function otherThanDatabases(gel: GelJsDatabase, database: ChatDatabase) {
  // @ts-expect-error not a database
  createChatStore({});
  // @ts-expect-error nor is what one is made of
  createChatStore({ connectionString: "postgres://" });
  // @ts-expect-error node-postgres without Drizzle
  createChatStore(new pg.Pool());
  // @ts-expect-error postgres.js without Drizzle
  await migrate(postgres());
  // @ts-expect-error Drizzle on MySQL
  createChatStore(drizzleMySql(async () => ({ rows: [] })));
  // @ts-expect-error Drizzle on SQLite
  createChatStore(drizzleSqlite(async () => ({ rows: [] })));
  // @ts-expect-error Drizzle on SingleStore
  await migrate(drizzleSingleStore(async () => ({ rows: [] })));
  // @ts-expect-error Drizzle on Gel
  createChatStore(gel);
  // @ts-expect-error a promise of a database
  createChatStore(Promise.resolve(database));
  await database.transaction(async (tx) => {
    // @ts-expect-error what the store does not need is not promised
    tx.select();
  });
}

/** What a helper takes that works with chats of any kind. */
export function helpersTakeAnyStore(store: ChatStore<MyMessage>): ChatStore {
  return store;
}

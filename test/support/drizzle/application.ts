/** What an application does with the types, in a way that all versions of Drizzle know. Compiled by types.test.ts, not run. */
import { PGlite } from "@electric-sql/pglite";
import { Pool as NeonPool, neon } from "@neondatabase/serverless";
import { createChatStore, migrate } from "drizzle-chat-store";
import { chats, chatTables, messages } from "drizzle-chat-store/schema";
import { eq } from "drizzle-orm";
import type { AwsDataApiPgDatabase } from "drizzle-orm/aws-data-api/pg";
import type { MySqlRemoteDatabase } from "drizzle-orm/mysql-proxy";
import { drizzle as drizzleNeonHttp } from "drizzle-orm/neon-http";
import { drizzle as drizzleNeonServerless } from "drizzle-orm/neon-serverless";
import { drizzle as drizzlePg } from "drizzle-orm/node-postgres";
import { pgTable, text, withReplicas } from "drizzle-orm/pg-core";
import { drizzle as drizzleProxy } from "drizzle-orm/pg-proxy";
import { drizzle as drizzlePglite } from "drizzle-orm/pglite";
import { drizzle as drizzlePostgresJs } from "drizzle-orm/postgres-js";
import type { SqliteRemoteDatabase } from "drizzle-orm/sqlite-proxy";
import type { VercelPgDatabase } from "drizzle-orm/vercel-postgres";
import type { XataHttpDatabase } from "drizzle-orm/xata-http";
import pg from "pg";
import postgres from "postgres";

declare const [aws, vercel, xata]: [AwsDataApiPgDatabase, VercelPgDatabase, XataHttpDatabase];
declare const [mySql, sqlite]: [MySqlRemoteDatabase, SqliteRemoteDatabase];

export async function everyDriver() {
  for (const db of [
    drizzlePg({ client: new pg.Pool() }),
    drizzlePostgresJs({ client: postgres() }),
    drizzlePglite({ client: new PGlite() }),
    drizzleNeonServerless({ client: new NeonPool() }),
    drizzleNeonHttp({ client: neon("") }),
    drizzleProxy(async () => ({ rows: [] })),
    withReplicas(drizzlePg(""), [drizzlePg("")]),
    ...[aws, vercel, xata],
  ]) {
    await migrate(db);
    createChatStore(db);
  }
  await drizzlePg("").transaction(async (tx) => {
    await tx.transaction(async (savepoint) => createChatStore(savepoint).getChats({ userId: "u" }));
    return createChatStore(tx).getChats({ userId: "u" });
  });
}

export function mustNotCompile() {
  // @ts-expect-error not a database
  createChatStore({ connectionString: "postgres://" });
  // @ts-expect-error a pool, and no database of Drizzle's
  createChatStore(new pg.Pool());
  // @ts-expect-error Drizzle on MySQL
  createChatStore(mySql);
  // @ts-expect-error Drizzle on SQLite
  createChatStore(sqlite);
  // @ts-expect-error a column the table does not have
  return messages.text;
}

export async function tablesBesideMyOwn() {
  const votes = pgTable("votes", { chatId: text("chat_id").references(() => chats.id), vote: text("vote") });
  const joined: { title: string; order: number | null; vote: string | null }[] = await drizzlePg("")
    .select({ title: chats.title, order: messages.order, vote: votes.vote })
    .from(chats)
    .leftJoin(messages, eq(messages.chatId, chats.id))
    .leftJoin(votes, eq(votes.chatId, chats.id));
  const own = chatTables("assistant");
  const titles: { title: string }[] = await drizzlePg("").select({ title: own.chats.title }).from(own.chats);
  return [joined, titles];
}

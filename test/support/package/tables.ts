/** The store's tables in an application's own queries, compiled by tsc and run after application.ts. */
import { chats, chatTables, messages } from "drizzle-chat-store/schema";
import { asc, count, eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { pgTable, text } from "drizzle-orm/pg-core";

export const votes = pgTable("votes", { chatId: text("chat_id").references(() => chats.id), vote: text("vote") });

async function main() {
  const db = drizzle(process.env.DATABASE_URL ?? "", { schema: { chats, votes } });
  const own = chatTables("chat_store");
  const rows: { title: string; messages: number }[] = await db
    .select({ title: chats.title, messages: count() })
    .from(chats)
    .innerJoin(messages, eq(messages.chatId, chats.id))
    .where(eq(chats.userId, "ada"))
    .groupBy(chats.id)
    .orderBy(asc(chats.id));
  const found = await db.query.chats.findFirst({ where: eq(chats.userId, "ada"), orderBy: asc(chats.id) });
  const all: { id: string }[] = await db.select({ id: own.chats.id }).from(own.chats).orderBy(own.chats.id);
  await db.$client.end();
  console.log(JSON.stringify({ rows, found: found?.title, all }));
}

void main();

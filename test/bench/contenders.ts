import type { UIMessage } from "ai";
import { createChatStore } from "drizzle-chat-store";
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { integer, json, pgSchema, primaryKey, text, timestamp } from "drizzle-orm/pg-core";
import pg from "pg";

const userId = "ada";
/** How many messages a turn gives the model. */
const limit = 40;

/** Who takes part. Ours are named by whether they name their statements, too. */
export const names = ["by hand, named", "by hand", "prepare: true", "ours", "delete+insert"] as const;
export type Name = (typeof names)[number];

/** What everybody does in their own way; null for what they do not. */
export interface Contender {
  /** Where its messages end up. */
  table: string;
  /** Is given the whole conversation, of which only the last message is new. */
  save(chatId: string, messages: readonly UIMessage[]): Promise<unknown>;
  /** Reads the last messages and stores a question; gives what stores its answer. */
  ask: ((chatId: string, question: UIMessage, order: number) => Promise<(text: UIMessage) => Promise<unknown>>) | null;
  load: ((chatId: string) => Promise<readonly unknown[] | undefined>) | null;
  list: ((userId: string) => Promise<readonly unknown[]>) | null;
}

export type Contenders = Awaited<ReturnType<typeof connect>>;

/** All who compete, on the same connections. */
export function connect(url: string, connections: number) {
  const pool = new pg.Pool({ connectionString: url, max: connections });
  // Its end() does not wait for the last connection, which the server may then be the one to close.
  pool.on("error", () => {});
  const contenders: Record<Name, Contender> = {
    "by hand, named": byHand(pool, { named: true }),
    "by hand": byHand(pool, { named: false }),
    "prepare: true": ours(pool, { prepare: true }),
    ours: ours(pool, { prepare: false }),
    "delete+insert": tutorial(pool),
  };
  return { ...contenders, close: () => pool.end() };
}

function ours(pool: pg.Pool, options: { prepare: boolean }): Contender {
  const store = createChatStore(drizzle(pool), options);
  return {
    table: "chat_store.messages",
    save: (chatId, messages) => store.upsertChat({ userId, chatId, messages }),
    ask: async (chatId, message) => {
      const { persist } = await store.startTurn({ userId, chatId, message, limit });
      return (answer) => persist.onEnd({ responseMessage: { ...answer, id: persist.generateMessageId() } });
    },
    load: async (chatId) => (await store.getChat({ userId, chatId }))?.messages,
    list: (userId) => store.getChats({ userId, limit: 20 }),
  };
}

/** What our first page of chats sends to the database. */
export async function listStatement(client: pg.Client, userId: string) {
  const sent: { text: string; values: unknown[] }[] = [];
  const db = drizzle(client, { logger: { logQuery: (text, values) => sent.push({ text, values }) } });
  await createChatStore(db).getChats({ userId, limit: 20 });
  return sent[0] ?? { text: "", values: [] };
}

// The tables one makes by hand, with one index only: a second one would slow the others down.
const plain = pgSchema("plain");
const chats = plain.table("chats", {
  id: text().primaryKey(),
  userId: text("user_id").notNull(),
  updatedAt: timestamp("updated_at", { withTimezone: true }).notNull().defaultNow(),
});
const messages = plain.table(
  "messages",
  {
    chatId: text("chat_id").notNull(),
    id: text().notNull(),
    order: integer().notNull(),
    role: text().notNull(),
    parts: json().notNull(),
  },
  (table) => [primaryKey({ columns: [table.chatId, table.id] })],
);
export const plainTables = `
  create schema plain;
  create table plain.chats (id text primary key, user_id text not null, updated_at timestamptz not null default now());
  create table plain.messages (
    chat_id text references plain.chats on delete cascade, id text, "order" int not null, role text not null,
    parts json not null, primary key (chat_id, id)
  )`;

/** What tutorials show: check or create the chat, delete its messages, insert them all. */
function tutorial(pool: pg.Pool): Contender {
  const db = drizzle(pool);
  return {
    table: "plain.messages",
    save: (chatId, conversation) =>
      db.transaction(async (tx) => {
        const owned = await tx
          .insert(chats)
          .values({ id: chatId, userId })
          .onConflictDoUpdate({ target: chats.id, set: { updatedAt: new Date() }, setWhere: eq(chats.userId, userId) })
          .returning({ id: chats.id });
        if (owned.length === 0) throw new Error("not your chat");
        await tx.delete(messages).where(eq(messages.chatId, chatId));
        await tx
          .insert(messages)
          .values(conversation.map(({ id, role, parts }, order) => ({ chatId, id, order, role, parts })));
      }),
    ask: null,
    load: null,
    list: null,
  };
}

/** The least that can be done: one statement by hand each. It trusts that only the last message is new, and checks nothing. */
function byHand(pool: pg.Pool, { named }: { named: boolean }): Contender {
  const rows = async (name: string, text: string, values: unknown[]) =>
    (await pool.query<Record<string, unknown>>({ ...(named && { name }), text, values })).rows;
  const append = (chatId: string, { id, role, parts }: UIMessage, order: number) =>
    rows(
      "save",
      `with chat as (update plain.chats set updated_at = now() where id = $1 and user_id = $2 returning id)
      insert into plain.messages (chat_id, id, "order", role, parts) select id, $3, $4, $5, $6 from chat`,
      [chatId, userId, id, order, role, JSON.stringify(parts)],
    );
  return {
    table: "plain.messages",
    save: async (chatId, messages) => {
      const last = messages.at(-1);
      if (last) await append(chatId, last, messages.length - 1);
    },
    ask: async (chatId, question, order) => {
      await rows(
        "last",
        `select id, role, parts from plain.messages where chat_id = $1 and "order" >= $2 order by "order"`,
        [chatId, order - limit],
      );
      await append(chatId, question, order);
      return (answer) => append(chatId, answer, order + 1);
    },
    // These two read the same bytes as ours, from our tables.
    load: (chatId) =>
      rows("load", `select id, role, parts, metadata from chat_store.messages where chat_id = $1 order by "order"`, [
        chatId,
      ]),
    list: (userId) =>
      rows(
        "list",
        `select id, user_id, title, version, created_at, updated_at from chat_store.chats
        where user_id = $1 order by updated_at desc, id desc limit 20`,
        [userId],
      ),
  };
}

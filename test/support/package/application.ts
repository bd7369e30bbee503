/** An application on Postgres, compiled by tsc as CommonJS and as ESM, and run. */
import { createChatStore, migrate } from "drizzle-chat-store";
import { drizzle } from "drizzle-orm/node-postgres";

async function main() {
  const db = drizzle(process.env.DATABASE_URL ?? "");
  await migrate(db);
  const seen = [];
  for (const prepare of [false, true]) {
    const store = createChatStore(db, { prepare });
    const ids = { userId: "ada", chatId: `prepare: ${prepare}` };
    const turn = await store.startTurn({
      ...ids,
      message: { id: "m1", role: "user", parts: [{ type: "text", text: "Weather?" }] },
    });
    const answer = { role: "assistant" as const, parts: [{ type: "text" as const, text: "Sunny" }] };
    await turn.persist.onEnd({ responseMessage: { id: turn.persist.generateMessageId(), ...answer } });
    await db.transaction(async (tx) => {
      await createChatStore(tx, { prepare }).updateChat({ ...ids, title: "Weather" });
    });
    const chat = await store.getChat(ids);
    seen.push({ title: chat?.title, roles: chat?.messages.map(({ role }) => role) });
  }
  // The pool's one connection, which knows only what it has prepared itself.
  const { rows } = await db.$client.query("select from pg_prepared_statements where name like 'chat\\_store\\_%'");
  await db.$client.end();
  console.log(JSON.stringify({ seen, prepared: rows.length > 0 }));
}

void main();

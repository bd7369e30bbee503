import { once } from "node:events";
import { createChatStore, migrate } from "drizzle-chat-store";
import { sql } from "drizzle-orm";
import { connect, type Driver, migrateApplication } from "./application.ts";

/** What a process is told to do. */
export interface Start {
  driver: Driver;
  url: string;
  schema?: string;
  chatId: string;
  /** When it runs the application's own migrations, if at all. */
  ownMigrations?: "before" | "after" | "at the same time";
}

process.on("disconnect", () => process.exit());
for (;;) {
  const instruction: Start = await nextMessage();
  const { db, end } = connect[instruction.driver](instruction.url);
  await db.execute(sql`select 1`);
  process.send?.("connected");
  await nextMessage();
  const outcome = await start(instruction, db).then(
    () => "started",
    (error) => `${error} ${error.cause}`,
  );
  await end();
  process.send?.(outcome);
}

async function start({ driver, url, schema, chatId, ownMigrations }: Start, db: Parameters<typeof migrate>[0]) {
  const options = schema ? { schema } : {};
  const migrateOwn = async (when: Start["ownMigrations"]) => {
    if (ownMigrations === when) await migrateApplication({ driver, url });
  };
  await migrateOwn("before");
  await Promise.all([migrate(db, options), migrateOwn("at the same time")]);
  await migrateOwn("after");
  const store = createChatStore(db, options);
  await store.upsertChat({ userId: "u", chatId, messages: [{ id: "m", role: "user", parts: [] }] });
}

async function nextMessage() {
  const [message] = await once(process, "message");
  return message;
}

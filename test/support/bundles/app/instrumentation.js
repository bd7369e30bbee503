/** Runs once when the server starts. */
export async function register() {
  if (process.env.NEXT_RUNTIME !== "nodejs") return;
  const { migrate } = await import("drizzle-chat-store");
  const { drizzle } = await import("drizzle-orm/node-postgres");
  const db = drizzle(process.env.DATABASE_URL);
  await migrate(db);
  await db.$client.end();
}

/** Next calls this when the server starts, and requests wait for it. */
export async function register() {
  if (process.env.NEXT_RUNTIME !== "nodejs") return;
  const [{ migrate }, { db }] = await Promise.all([import("drizzle-chat-store"), import("./lib/store")]);
  // The database may start later. If this function threw, Next would respond to every request with 500.
  while (!(await migrate(db).then(() => true, console.error)))
    await new Promise((resolve) => setTimeout(resolve, 2_000));
}

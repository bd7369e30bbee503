/** Next calls this once when the server starts. Requests wait for it. */
export async function register() {
  if (process.env.NEXT_RUNTIME !== "nodejs") return;
  const [{ migrate }, { db }] = await Promise.all([import("drizzle-chat-store"), import("./lib/store")]);
  for (;;) {
    try {
      return await migrate(db);
    } catch (error) {
      // The database may start later. If this function threw, Next would respond to every later request with 500.
      console.error(error);
      await new Promise((resolve) => setTimeout(resolve, 2_000));
    }
  }
}

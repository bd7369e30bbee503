/** Runs once when the server starts: the database is open and migrated before the first request. */
export async function register() {
  if (process.env.NEXT_RUNTIME === "nodejs") {
    const { getStore } = await import("./lib/store");
    // If the database is not there yet, the first request tries again.
    await getStore().catch(console.error);
  }
}

import { drizzle } from "drizzle-orm/postgres-js";
import { chat } from "../../chat.js";

let db;

export async function POST() {
  db ??= drizzle(process.env.DATABASE_URL);
  return Response.json(await chat(db, "postgres-js"));
}

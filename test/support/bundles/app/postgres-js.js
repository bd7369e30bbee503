import { migrate } from "drizzle-chat-store";
import { drizzle } from "drizzle-orm/postgres-js";
import { chat } from "./chat.js";

const db = drizzle(process.env.DATABASE_URL);
migrate(db)
  .then(() => chat(db, "postgres-js"))
  .then((result) => console.log(JSON.stringify(result)))
  .finally(() => db.$client.end());

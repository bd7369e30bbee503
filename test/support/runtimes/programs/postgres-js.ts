import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { exercise } from "./exercise.ts";
import { unreachable } from "./unreachable.ts";

const client = postgres(process.env.DATABASE_URL ?? "", { onnotice: () => {} });
const nowhere = postgres(unreachable);
console.log(JSON.stringify(await exercise(drizzle({ client }), drizzle({ client: nowhere }))));
await Promise.all([client.end(), nowhere.end()]);

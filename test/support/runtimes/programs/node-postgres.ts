import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { exercise } from "./exercise.ts";
import { unreachable } from "./unreachable.ts";

const client = new pg.Pool({ connectionString: process.env.DATABASE_URL });
const nowhere = new pg.Pool({ connectionString: unreachable });
console.log(JSON.stringify(await exercise(drizzle({ client }), drizzle({ client: nowhere }))));
await Promise.all([client.end(), nowhere.end()]);

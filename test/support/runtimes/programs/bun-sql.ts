import { drizzle } from "drizzle-orm/bun-sql";
import { exercise } from "./exercise.ts";
import { unreachable } from "./unreachable.ts";

const db = drizzle(process.env.DATABASE_URL ?? "");
console.log(JSON.stringify(await exercise(db, drizzle(unreachable))));
// Drizzle has the type from Bun's own types, which are not installed here.
await (db.$client as unknown as { end(): Promise<void> }).end();

import { readFile } from "node:fs/promises";
import { PGlite } from "@electric-sql/pglite";
import { drizzle } from "drizzle-orm/pglite";
import { exercise } from "./exercise.ts";

const loadDataDir = new Blob([await readFile(process.env.EMPTY_PGLITE ?? "")]);
const client = await PGlite.create({ loadDataDir });
console.log(JSON.stringify(await exercise(drizzle({ client }))));
await client.close();

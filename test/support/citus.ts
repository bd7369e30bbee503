import type pg from "pg";
import type { TestProject } from "vitest/node";
import { withClient } from "./citus-cluster.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Whether the database has the extension, so that its tables can be distributed. */
    isCitus: boolean;
  }
}

export default async function setup(project: TestProject) {
  const url = process.env.CITUS_URL ?? "";
  project.provide("postgresUrl", url);
  const version = url && (await withClient(url, versionOfCitus));
  project.provide("isCitus", Boolean(version));
  if (!url)
    console.warn("There is no CITUS_URL, so nothing is tested on Citus: docs/scaling.md says how to start one.");
  else console.log(version ? `Citus ${version}` : "There is no Citus at CITUS_URL: what needs it is skipped.");
}

async function versionOfCitus(client: pg.Client): Promise<string | undefined> {
  const find = "select extversion from pg_extension where extname = 'citus'";
  const { rows } = await client.query<{ extversion: string }>(find);
  return rows[0]?.extversion;
}

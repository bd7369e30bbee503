import type { TestProject } from "vitest/node";
import { startPostgres } from "./postgres.ts";

/** The Postgres of the other suites, but one that waits for the disk at every commit, as applications' do. */
export default async function setup(project: TestProject) {
  const server = await startPostgres({ inContainer: true, settings: [] });
  console.log(`Postgres for the load: ${server.from}`);
  project.provide("postgresUrl", server.url);
  return () => server.stop();
}

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { packInto } from "./pack.ts";

declare module "vitest" {
  interface ProvidedContext {
    tarball: string;
  }
}

/** Builds and packs the package, once for all test files: they would build into the same folder at the same time. */
export default async function setup(project: TestProject) {
  const folder = await mkdtemp(join(tmpdir(), "drizzle-chat-store-tarball-"));
  project.provide("tarball", await packInto(folder));
  return () => rm(folder, { recursive: true, force: true });
}

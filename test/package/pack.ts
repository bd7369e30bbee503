import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    tarball: string;
  }
}

/** Builds and packs the package, once for all test files: they would build into the same folder at the same time. */
export default async function setup(project: TestProject) {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const folder = await mkdtemp(join(tmpdir(), "drizzle-chat-store-tarball-"));
  await promisify(execFile)("npm", ["pack", "--pack-destination", folder], { cwd: root });
  const [packed, ...others] = await readdir(folder);
  if (!packed?.endsWith(".tgz") || others.length > 0) throw new Error(`npm packed ${packed} and ${others}`);
  project.provide("tarball", join(folder, packed));
  return () => rm(folder, { recursive: true, force: true });
}

import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import type * as Package from "../../src/index.ts";
import { root, run } from "./pack.ts";

/** A version of this package as it was published, in a folder where it finds its peers. */
export async function unpackRelease(version: string): Promise<{ folder: string; remove(): Promise<void> }> {
  const releases = join(root, ".data", "releases");
  await mkdir(releases, { recursive: true });
  const folder = await mkdtemp(join(releases, `${version}-`));
  await run("tar", [
    "-xzf",
    join(root, "test", "support", "releases", `drizzle-chat-store-${version}.tgz`),
    "-C",
    folder,
  ]);
  return { folder: join(folder, "package"), remove: () => rm(folder, { recursive: true }) };
}

export async function importRelease(version: string): Promise<typeof Package & { remove(): Promise<void> }> {
  const { folder, remove } = await unpackRelease(version);
  const released: typeof Package = await import(/* @vite-ignore */ join(folder, "dist/index.js"));
  return { ...released, remove };
}

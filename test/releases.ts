import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type * as Package from "../src/index.ts";
import { root, run } from "./pack.ts";

/** A version of this package as it was published, beside which this one has to work. */
export async function release(version: string): Promise<typeof Package & { remove(): Promise<void> }> {
  // In here, where it finds the peers.
  const folder = join(root, ".data", "releases", `${version}-${process.pid}`);
  await mkdir(folder, { recursive: true });
  await run("tar", ["-xzf", join(root, "test", "releases", `drizzle-chat-store-${version}.tgz`), "-C", folder]);
  const released: typeof Package = await import(/* @vite-ignore */ join(folder, "package/dist/index.js"));
  return { ...released, remove: () => rm(folder, { recursive: true }) };
}

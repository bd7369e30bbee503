import { mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { root } from "./command-line.ts";

/** The folder of an application that has installed one driver, beside drizzle-orm. */
export const folderWith = async (driver: string) => {
  const folder = await mkdtemp(join(tmpdir(), "drizzle-chat-store-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await mkdir(join(folder, "node_modules"));
  for (const name of [driver, "drizzle-orm"]) {
    await symlink(join(root, "node_modules", name), join(folder, "node_modules", name));
  }
  return folder;
};

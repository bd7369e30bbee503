import { randomUUID } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { root } from "./pack.ts";

/**
 * The path of a folder inside the checkout, so that the name of this package leads to it there. It exists while the tests run of
 * the file or `describe` that asks for it, and no other run has the same.
 */
export function temporaryFolder(name: string): string {
  const folder = join(root, ".data", `${name}-${randomUUID()}`);
  beforeAll(async () => void (await mkdir(folder, { recursive: true })));
  afterAll(() => rm(folder, { recursive: true }));
  return folder;
}

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { npm } from "./pack.ts";

const dist = fileURLToPath(new URL("../../dist", import.meta.url));

/** The folder of an example, with its packages installed and among them this one as it is built now. */
export async function installExample(name: string): Promise<string> {
  const folder = fileURLToPath(new URL(`../../examples/${name}`, import.meta.url));
  const installed = await contentOf(join(folder, "node_modules", "drizzle-chat-store", "dist"));
  // npm does not notice that a package in a folder has changed, unless it installs everything anew.
  if (installed === undefined || installed !== (await contentOf(dist))) {
    await npm(["ci", "--prefer-offline", "--no-audit", "--no-fund"], { cwd: folder });
  }
  return folder;
}

async function contentOf(folder: string): Promise<string | undefined> {
  const names = await readdir(folder).catch(() => undefined);
  const files = names?.sort().map(async (name) => `${name}\n${await readFile(join(folder, name), "utf8")}`);
  return files && (await Promise.all(files)).join("\n");
}

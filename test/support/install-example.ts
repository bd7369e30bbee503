import { cp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { withLock } from "./locked.ts";
import { npm, root } from "./pack.ts";

/**
 * Installs the packages of an example, among them this one as it is built now, and gives the example's folder. Does nothing, and asks
 * no registry, where all is in place. Other processes that call it meanwhile wait.
 */
export async function installExample(name: string): Promise<string> {
  const folder = join(root, "examples", name);
  await withLock(`install-${name}`, async () => {
    const stamp = join(folder, "node_modules", ".installed-from");
    const manifests = await textsOf([
      join(root, "package.json"),
      join(folder, "package.json"),
      join(folder, "package-lock.json"),
    ]);
    if ((await textOf(stamp)) !== manifests) {
      await npm(["ci", "--prefer-offline", "--no-audit", "--no-fund"], { cwd: folder });
      await writeFile(stamp, manifests);
    }
    // npm does not notice that a package in a folder has changed, unless it installs everything anew.
    const [built, installed] = [join(root, "dist"), join(folder, "node_modules", "drizzle-chat-store", "dist")];
    if ((await contentOf(built)) !== (await contentOf(installed))) {
      await rm(installed, { recursive: true, force: true });
      await cp(built, installed, { recursive: true });
    }
  });
  return folder;
}

const textOf = (file: string) => readFile(file, "utf8").catch(() => undefined);

const textsOf = async (files: string[]) => (await Promise.all(files.map((file) => readFile(file, "utf8")))).join("\n");

async function contentOf(folder: string): Promise<string> {
  const names = (await readdir(folder).catch(() => [])).sort();
  return `${names}\n${await textsOf(names.map((name) => join(folder, name)))}`;
}

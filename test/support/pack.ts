import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const run = promisify(execFile);
export const root = fileURLToPath(new URL("../..", import.meta.url));

/**
 * npm, up to three times where the network fails: what a registry answers is its answer.
 *
 * @throws the error of the last attempt
 */
export async function npm(args: string[], options: { cwd: string }): Promise<{ stdout: string }> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run("npm", args, options);
    } catch (error) {
      const said = String((error as { stderr?: unknown }).stderr);
      if (
        attempt === 3 ||
        !/\b(E(AI_AGAIN|CONNRESET|CONNREFUSED|NOTFOUND|TIMEDOUT|SOCKETTIMEDOUT)|ERR_SOCKET_TIMEOUT|E(429|50[0234]))\b/.test(
          said,
        )
      )
        throw error;
    }
  }
}

/** Packs this package, as it is built, into an empty folder, as `npm publish` would, and gives the path of the tarball. */
export async function packInto(folder: string): Promise<string> {
  await run("npm", ["pack", "--ignore-scripts", "--pack-destination", folder], { cwd: root });
  const [packed, ...others] = await readdir(folder);
  if (!packed?.endsWith(".tgz") || others.length > 0)
    throw new Error(`Expected one tarball, found ${packed}, ${others}`);
  return join(folder, packed);
}

/** Installs packages into a folder with a package.json. Name their versions: for a bare name, npm picks what suits its own Node. */
export async function install(folder: string, packages: string[]): Promise<void> {
  const flags = ["--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"];
  await npm(["install", ...flags, ...packages], { cwd: folder });
}

/** A package with the version that the tests of this package use. */
export const own = async (installedAs: string, name = installedAs) =>
  `${name}@${(await manifestOf(join(root, "node_modules", installedAs))).version}`;

export async function manifestOf(
  packageFolder: string,
): Promise<{ version: string; scripts?: Record<string, string> }> {
  return JSON.parse(await readFile(join(packageFolder, "package.json"), "utf8"));
}

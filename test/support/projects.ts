import { readdirSync, readFileSync } from "node:fs";

/**
 * Which projects of vitest.config.ts run a test file. A file of a suite's own folder belongs to that project, every other one to
 * `main`. A file that more than one project runs says so in its first lines, and what only the long run (`CI_LONG=1`) does:
 *
 *     // Projects: main, drivers. Long: postgres.
 *
 * A file that changes what all files of a worker share, such as a module or the console, says so as well:
 *
 *     // Isolated: it replaces node:crypto.
 */
const files = readdirSync("test", { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".test.ts"))
  .map((file) => {
    const path = `test/${file}`;
    const text = readFileSync(path, "utf8");
    const head = text.slice(0, 1_000);
    const [, always, long = ""] = head.match(/^\/\/ Projects: ([\w, -]+)\.(?: Long: ([\w, -]+)\.)?$/m) ?? [];
    const projects = always === undefined ? [folderOf(file)] : always.split(", ");
    const isIsolated = /^\/\/ Isolated: /m.test(head);
    // Whether a module that other files of the worker have loaded is replaced depends on their order.
    if (/\bvi\.(mock|doMock)\(/.test(text) && !isIsolated)
      throw new Error(`${path} replaces a module and is not isolated.`);
    return {
      path,
      projects: process.env.CI_LONG ? [...projects, ...long.split(", ").filter(Boolean)] : projects,
      isIsolated,
    };
  });

function folderOf(file: string): string {
  const [folder = ""] = file.split("/");
  const features = [
    "http",
    "client",
    "chats",
    "conversation",
    "turns",
    "branches",
    "migrate",
    "cli",
    "database",
    "errors",
  ];
  return folder.endsWith(".test.ts") || features.includes(folder) ? "main" : folder;
}

const asked = new Set(["none"]);

export function filesOf(project: string): string[] {
  asked.add(project);
  return files.filter(({ projects }) => projects.includes(project)).map(({ path }) => path);
}

/** @throws if a file names a project that vitest.config.ts does not have, so that it would silently not be run */
export function expectEveryProjectToExist(): void {
  for (const { path, projects } of files) {
    const unknown = projects.filter((project) => !asked.has(project));
    if (unknown.length > 0) throw new Error(`${path} is for ${unknown}, which is no project of vitest.config.ts.`);
  }
}

export const isolatedFiles = files.filter(({ isIsolated }) => isIsolated).map(({ path }) => path);

import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import ts from "typescript";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { isLong } from "../support/long-run.ts";
import { npm, run } from "../support/pack.ts";

/** What comes into an application with this package, seen from one that installs nothing else. */

const tarball = inject("tarball");
let project: string;
let printed: string;
const installed = (...path: string[]) => join(project, "node_modules", "drizzle-chat-store", ...path);

beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), "drizzle-chat-store-supply-chain-"));
  await writeFile(join(project, "package.json"), JSON.stringify({ private: true }));
  const flags = [
    "--prefer-offline",
    "--no-audit",
    "--no-fund",
    "--ignore-scripts=false",
    "--foreground-scripts",
    "--loglevel=notice",
  ];
  printed = (await npm(["install", ...flags, tarball], { cwd: project })).stdout;
});

afterAll(() => rm(project, { recursive: true, force: true }));

test("npm runs no install script of the package or its peers, though scripts are allowed", async () => {
  // npm prints "> name@version script" before it runs one.
  expect(printed).toMatch(/^added \d+ packages/m);
  expect(printed).not.toMatch(/^> /m);
  const lock: { packages: Record<string, { hasInstallScript?: boolean; dependencies?: object }> } = JSON.parse(
    await readFile(join(project, "package-lock.json"), "utf8"),
  );
  expect(lock.packages["node_modules/drizzle-chat-store"]).not.toHaveProperty("dependencies");
  expect(Object.entries(lock.packages).filter(([, { hasInstallScript }]) => hasInstallScript)).toEqual([]);
});

test("the package's code imports its peers and node:crypto, and its types only its peers", async () => {
  expect((await reachedFrom("index.js", "schema.js", "schema.cjs")).imports).toEqual([
    "ai",
    "drizzle-orm",
    "drizzle-orm/pg-core",
    "node:crypto",
    "zod/v4",
  ]);
  expect((await reachedFrom("index.d.ts", "schema.d.ts", "schema.d.cts")).imports).toEqual([
    "ai",
    "drizzle-orm",
    "drizzle-orm/pg-core",
  ]);
});

test("the handler and the client import nothing but ai, and their types nothing else", async () => {
  for (const file of ["handler.js", "client.js", "handler.d.ts", "client.d.ts"]) {
    expect((await reachedFrom(file)).imports, file).toEqual(["ai"]);
  }
});

test("the hooks import nothing but React and the SDK, and their types nothing else", async () => {
  expect((await reachedFrom("react.js")).imports).toEqual(["@ai-sdk/react", "react"]);
  expect((await reachedFrom("react.d.ts")).imports).toEqual(["@ai-sdk/react", "ai"]);
});

test("the command line imports five more modules of Node, and no other package", async () => {
  const library = await reachedFrom("index.js", "schema.js");
  const { imports } = await reachedFrom("cli.js");
  expect(imports.filter((name) => !library.imports.includes(name))).toEqual([
    "node:module",
    "node:path",
    "node:readline",
    "node:timers/promises",
    "node:util",
  ]);
});

test("the package's code names no way to the network, files, the environment or eval", async () => {
  const ways = ["fetch", "WebSocket", "XMLHttpRequest", "process", "require", "eval", "Function", "globalThis"];
  const { files } = await reachedFrom("index.js", "schema.js");
  const names = await namesIn(...files);
  expect(ways.filter((way) => names.has(way))).toEqual([]);
  expect(names).toContain("createChatStore");
  const namesInCommonJs = await namesIn("schema.cjs");
  expect(ways.filter((way) => namesInCommonJs.has(way))).toEqual(["require"]);
});

async function namesIn(...files: string[]): Promise<Set<string>> {
  const names = new Set<string>();
  for (const file of files) {
    const visit = (node: ts.Node): void => {
      if (ts.isIdentifier(node)) names.add(node.text);
      ts.forEachChild(node, visit);
    };
    visit(ts.createSourceFile(file, await readFile(installed("dist", file), "utf8"), ts.ScriptTarget.Latest));
  }
  return names;
}

test("the package weighs less than 205 kB to download and 750 kB on the disk, its docs included", async () => {
  expect((await stat(tarball)).size).toBeLessThan(205_000);
  const entries = await readdir(installed(), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => stat(join(entry.parentPath, entry.name)));
  const sizes = (await Promise.all(files)).map(({ size }) => size);
  expect(sizes.reduce((total, size) => total + size, 0)).toBeLessThan(750_000);
});

// What is found out about a peer is no reason to hold up a change.
test.runIf(isLong)("npm audit reports no vulnerability of the package or its peers", async ({ skip }) => {
  // Exits with 1 for a finding, and also if the registry has no answer.
  const audit = run("npm", ["audit", "--omit=dev", "--json"], { cwd: project });
  const { stdout } = await audit.catch((failed: { stdout: string }) => failed);
  const report: { metadata?: { vulnerabilities: object; dependencies: { total: number } }; message?: string } =
    JSON.parse(stdout);
  if (!report.metadata) {
    // Not a finding, and not a success either: counted as skipped, and said aloud.
    console.warn("Not audited, because the registry gives no answer:", report.message);
    skip();
  }
  expect(report.metadata?.vulnerabilities).toEqual({ info: 0, low: 0, moderate: 0, high: 0, critical: 0, total: 0 });
  expect(report.metadata?.dependencies.total).toBeGreaterThan(3);
});

/** The files of dist that these import, themselves included, and what all of them import from elsewhere. */
async function reachedFrom(...entries: string[]): Promise<{ files: Set<string>; imports: string[] }> {
  const files = new Set(entries);
  const imports = new Set<string>();
  // Goes on to the files that it adds.
  for (const file of files) {
    const text = await readFile(installed("dist", file), "utf8");
    for (const { fileName } of ts.preProcessFile(text, true, true).importedFiles) {
      if (!fileName.startsWith("./")) imports.add(fileName);
      else files.add(file.endsWith(".d.ts") ? fileName.slice(2).replace(/\.js$/, ".d.ts") : fileName.slice(2));
    }
  }
  return { files, imports: [...imports].sort() };
}

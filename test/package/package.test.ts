import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, posix, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { install, manifestOf, own, root, run } from "../support/pack.ts";
import { newestOf } from "../support/peers.ts";

const fixtures = fileURLToPath(new URL("../support/package", import.meta.url));

const ownPeers = [await own("drizzle-orm"), await own("zod")];

// Majors are explicit: for a bare name, npm picks what suits its own Node.
const oldest = {
  name: "the oldest peers",
  packages: ["drizzle-orm@0.44.0", "zod@3.25.76", "ai@5.0.0", "@ai-sdk/react@2.0.0"],
};
const ai5 = { name: "ai 5", packages: [...ownPeers, newestOf("ai@5"), newestOf("@ai-sdk/react@2")] };
const ai6 = { name: "ai 6", packages: [...ownPeers, newestOf("ai@6"), newestOf("@ai-sdk/react@3")] };
const newest = { name: "the newest peers", packages: [...ownPeers, await own("ai"), newestOf("@ai-sdk/react@4")] };
const projects = [oldest, ai5, ai6, newest];

const tarball = inject("tarball");
let folder: string;
const projectFolder = (name: string) => join(folder, name.replaceAll(" ", "-"));

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "drizzle-chat-store-package-"));
  const helpers = [await own("@electric-sql/pglite"), newestOf("@types/react@19")];
  for (const { name, packages } of projects) {
    const cwd = projectFolder(name);
    await mkdir(cwd);
    await writeFile(join(cwd, "package.json"), JSON.stringify({ private: true, type: "module" }));
    await install(cwd, [tarball, ...packages, ...helpers]);
    await cp(fixtures, cwd, { recursive: true });
  }
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describe("The tarball", () => {
  const installed = () => join(projectFolder(newest.name), "node_modules", "drizzle-chat-store");

  it("the tarball holds the built code, migrations, docs and licence, and no other files", async () => {
    const entries = await readdir(installed(), { recursive: true, withFileTypes: true });
    const files = entries
      .filter((entry) => entry.isFile())
      .map((entry) => relative(installed(), join(entry.parentPath, entry.name)).replaceAll(sep, posix.sep));
    const migrations = (await readdir(join(root, "migrations"))).filter((name) => name.endsWith(".sql"));
    const shared = /^dist\/(chunk-[\w-]+\.js|schema-[\w-]+\.d\.ts)$/;
    expect(files.filter((file) => !shared.test(file)).sort()).toEqual(
      [
        ...["CHANGELOG.md", "LICENSE", "README.md", "package.json"],
        ...["dist/cli.js", "dist/index.d.ts", "dist/index.js"],
        ...["dist/schema.cjs", "dist/schema.d.cts", "dist/schema.d.ts", "dist/schema.js"],
        ...migrations.map((name) => `migrations/${name}`),
        ...(await readdir(join(root, "docs"))).map((name) => `docs/${name}`),
      ].sort(),
    );
  });

  it("the package has no dependencies and no install scripts", async () => {
    const manifest = await manifestOf(installed());
    for (const field of ["dependencies", "optionalDependencies", "bundleDependencies", "bundledDependencies"]) {
      expect(manifest).not.toHaveProperty(field);
    }
    for (const script of ["preinstall", "install", "postinstall"]) {
      expect(manifest.scripts).not.toHaveProperty(script);
    }
  });
});

it.each([oldest, newest])("the package migrates, stores, reads and joins with $name", async ({ name }) => {
  const { stdout } = await run(process.execPath, ["run.mjs"], { cwd: projectFolder(name) });
  expect(JSON.parse(stdout)).toEqual({
    messages: [
      { id: "m1", role: "user", parts: [{ type: "text", text: "Weather?" }] },
      { id: "m2", role: "assistant", metadata: { model: "x" }, parts: [{ type: "text", text: "Sunny \u0000" }] },
    ],
    chats: ["c1"],
    stranger: [null, true],
    joined: [
      { title: "Weather", version: 2, id: "m1", role: "user" },
      { title: "Weather", version: 2, id: "m2", role: "assistant" },
    ],
  });
});

describe.each(projects)("The types with $name", ({ name }) => {
  it.each([false, true])("the types fit useChat without a cast (exactOptionalPropertyTypes: %s)", (exact) => {
    expect(typeErrors(projectFolder(name), exact)).toBe("");
  });
});

/** What `tsc` says without skipLibCheck, except of the peers: their declarations do not pass, ours must. */
function typeErrors(folder: string, exactOptionalPropertyTypes: boolean): string {
  const program = ts.createProgram([join(folder, "types.ts")], {
    strict: true,
    exactOptionalPropertyTypes,
    module: ts.ModuleKind.NodeNext,
    types: [],
    skipLibCheck: false,
    noEmit: true,
  });
  const isOurs = ({ fileName }: ts.SourceFile) => !/\/node_modules\/(?!drizzle-chat-store\/)/.test(fileName);
  const found = [
    ...program.getOptionsDiagnostics(),
    ...program.getGlobalDiagnostics(),
    ...program
      .getSourceFiles()
      .filter(isOurs)
      .flatMap((file) => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]),
  ];
  const getCurrentDirectory = () => folder;
  return ts.formatDiagnostics(found, { getCurrentDirectory, getCanonicalFileName: String, getNewLine: () => "\n" });
}

import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, posix, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from "vitest";
import { createDatabase } from "../support/databases.ts";
import { drizzleVersions } from "../support/drizzle/versions.ts";
import { install, manifestOf, own, root, run } from "../support/pack.ts";
import { blocksOf } from "../support/pages.ts";
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
const drizzle1 = {
  name: "Drizzle 1.0",
  packages: [await own("drizzle-orm-1", "drizzle-orm"), await own("zod"), await own("ai")],
};

const tarball = inject("tarball");
let folder: string;
const projectFolder = (name: string) => join(folder, name.replaceAll(" ", "-"));

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "drizzle-chat-store-package-"));
  const drivers = await Promise.all(
    ["@electric-sql/pglite", "pg", "@types/pg", "@types/node"].map((name) => own(name)),
  );
  const helpers = [...drivers, newestOf("@types/react@19")];
  for (const { name, packages } of [...projects, drizzle1]) {
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
    const shared = /^dist\/(chunk-[\w-]+\.js|\w+-[\w-]+\.d\.ts)$/;
    expect(files.filter((file) => !shared.test(file)).sort()).toEqual(
      [
        ...["CHANGELOG.md", "LICENSE", "README.md", "package.json"],
        ...["dist/cli.js", "dist/index.d.ts", "dist/index.js"],
        ...["dist/client.d.ts", "dist/client.js", "dist/handler.d.ts", "dist/handler.js"],
        ...["dist/react.d.ts", "dist/react.js"],
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

describe("An application in CommonJS", () => {
  it.each([oldest, newest, drizzle1])("a CommonJS application compiles and runs with $name", async (project) => {
    const application = await createApplication(projectFolder(project.name), { type: "commonjs" });
    // The types of 1.0 refuse our tables, in ESM too. Those of 0.44.0 refuse to join any table in CommonJS.
    const programs = project === newest ? ["application", "tables"] : ["application"];
    expect(await compile(application, programs)).toBe("");
    expect(await readFile(join(application, "application.js"), "utf8")).toContain('require("drizzle-chat-store")');
    await expectToRun(application, programs);
  });
});

describe("An application with a copy of drizzle-orm beside the package's", () => {
  it.each(drizzleVersions)(
    "an application with its own copy of $installedAs compiles and runs",
    async ({ installedAs }) => {
      // The SQL of a 0.x does not run in a 1.0, nor the other way round.
      const project = installedAs === "drizzle-orm-1" ? drizzle1 : newest;
      const application = await createApplication(projectFolder(project.name), { type: "module" });
      await copyDrizzle(application, installedAs);
      expect(await compile(application, ["application"])).toBe("");
      await expectToRun(application, ["application"]);
    },
  );

  it("queries on the tables compile with the settings that docs/compatibility.md gives", async () => {
    const application = await createApplication(projectFolder(newest.name), { type: "module" });
    await copyDrizzle(application, "drizzle-orm");
    const settings = blocksOf("docs/compatibility.md").find(({ language }) => language === "json")?.text ?? "";
    const { paths } = JSON.parse(settings).compilerOptions;
    expect(await compile(application, ["tables"])).toMatch(/^tables\.ts\b.* PgTable/s);
    expect(await compile(application, ["application", "tables"], { paths })).toBe("");
    await expectToRun(application, ["application", "tables"]);
  });
});

/** A folder inside a project, which has installed this package and its peers. */
async function createApplication(project: string, manifest: { type: "commonjs" | "module" }): Promise<string> {
  const application = await mkdtemp(join(project, "application-"));
  await writeFile(join(application, "package.json"), JSON.stringify({ private: true, ...manifest }));
  for (const program of ["application.ts", "tables.ts"]) await cp(join(fixtures, program), join(application, program));
  return application;
}

const copyDrizzle = (application: string, installedAs: string) =>
  cp(join(root, "node_modules", installedAs), join(application, "node_modules", "drizzle-orm"), { recursive: true });

/** Gives what `tsc` says, with the settings of an application. */
async function compile(application: string, programs: string[], options: ts.server.protocol.CompilerOptions = {}) {
  const common = { target: "es2022", module: "nodenext", strict: true, skipLibCheck: true, types: ["node"] };
  const config = { compilerOptions: { ...common, ...options }, files: programs.map((program) => `${program}.ts`) };
  await writeFile(join(application, "tsconfig.json"), JSON.stringify(config));
  const tsc = run(process.execPath, [join(root, "node_modules", "typescript", "bin", "tsc")], { cwd: application });
  return (await tsc.catch((failed: { stdout: string }) => failed)).stdout;
}

async function expectToRun(application: string, programs: string[]) {
  const { url, drop } = await createDatabase({ empty: true });
  onTestFinished(drop);
  const env = { ...process.env, DATABASE_URL: url };
  const printed: Record<string, unknown> = {};
  for (const program of programs) {
    const { stdout } = await run(process.execPath, [`${program}.js`], { cwd: application, env });
    printed[program] = JSON.parse(stdout);
  }
  const chat = { title: "Weather", roles: ["user", "assistant"] };
  const ids = ["prepare: false", "prepare: true"];
  const all = {
    application: { seen: [chat, chat], prepared: true },
    tables: {
      rows: ids.map(() => ({ title: "Weather", messages: 2 })),
      found: "Weather",
      all: ids.map((id) => ({ id })),
    },
  };
  expect(printed).toEqual(Object.fromEntries(Object.entries(all).filter(([program]) => programs.includes(program))));
}

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

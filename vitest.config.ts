import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin, type TestProjectInlineConfiguration } from "vitest/config";
import { drizzleVersions } from "./test/support/drizzle/versions.ts";
import { FlakyReporter } from "./test/support/flaky-reporter.ts";
import { peculiarSessions, peculiarTables } from "./test/support/peculiarities.ts";
import { majors } from "./test/support/postgres-majors.ts";
import { expectEveryProjectToExist, filesOf, isolatedFiles } from "./test/support/projects.ts";

/** Does what `loader: { ".sql": "text" }` does in the build. */
const sqlAsText: Plugin = {
  name: "sql-as-text",
  enforce: "pre",
  transform: (code, id) =>
    id.endsWith(".sql") ? { code: `export default ${JSON.stringify(code)}`, map: null } : undefined,
};

// Vitest 5 lists failed tests with it, and Node 20 does not have it.
Map.groupBy ??= <Key, Item>(items: Iterable<Item>, keyOf: (item: Item, index: number) => Key) => {
  const groups = new Map<Key, Item[]>();
  for (const [index, item] of [...items].entries()) {
    const key = keyOf(item, index);
    groups.set(key, [...(groups.get(key) ?? []), item]);
  }
  return groups;
};

const root = fileURLToPath(new URL(".", import.meta.url));
const support = (name: string) => fileURLToPath(new URL(`test/support/${name}.ts`, import.meta.url));

const postgres = [support("postgres"), support("migrated")];
const pglite = support("pglite");
const build = support("build");

/** Time limits are part of no promise. They only end what hangs. */
const limits = { testTimeout: 120_000, hookTimeout: 300_000 };

type Settings = NonNullable<TestProjectInlineConfiguration["test"]>;

function project(name: string, settings: Settings = {}, more: TestProjectInlineConfiguration = {}) {
  return {
    root,
    plugins: [sqlAsText],
    ...more,
    test: {
      name,
      include: filesOf(name),
      globalSetup: postgres,
      // A worker imports Drizzle, ai and the drivers once, not once a file.
      isolate: false,
      expect: { poll: { timeout: 60_000 } },
      // Concurrent tests mostly wait.
      maxConcurrency: 20,
      ...limits,
      ...settings,
    },
  } satisfies TestProjectInlineConfiguration;
}

/** `npm test`. Files that change what their worker shares get a worker of their own: their first lines say why. */
const usual = [
  project("main", {
    include: filesOf("main").filter((file) => !isolatedFiles.includes(file)),
    globalSetup: [...postgres, pglite, build],
  }),
  project("main (isolated)", {
    include: filesOf("main").filter((file) => isolatedFiles.includes(file)),
    globalSetup: [...postgres, pglite, build],
    isolate: true,
  }),
];

/** The other suites. `npx vitest run --project NAME` runs one, and installs and builds what it needs. */
const suites = [
  project("thorough", {
    globalSetup: [...postgres, pglite],
    env: { MODEL_RUNS: process.env.MODEL_RUNS ?? "100" },
    testTimeout: 600_000,
  }),
  project("fuzz", {
    globalSetup: [...postgres, pglite],
    env: { FUZZ_CASES: process.env.FUZZ_CASES ?? "1000" },
    testTimeout: 0,
    isolate: true,
  }),
  project("node", { provide: { drivers: "one kind" } }),
  project("drivers", { provide: { drivers: "others" } }),
  project("package", {
    globalSetup: [...postgres, build, support("tarball")],
    testTimeout: 600_000,
  }),
  project("bundles", { globalSetup: [...postgres, build], testTimeout: 600_000 }),
  project("runtimes", {
    globalSetup: [...postgres, pglite, build],
    hookTimeout: 600_000,
  }),
  project("start-up", { globalSetup: [...postgres, build], testTimeout: 600_000 }),
  project("express", { globalSetup: [...postgres, pglite, build, support("installed-express")] }),
  // One file after the other, with one server and one browser: to start them costs more than two cores give back.
  project("browser", {
    globalSetup: [...postgres, build, support("next-build")],
    fileParallelism: false,
    retry: process.env.CI ? 1 : 0,
  }),
  // One file after the other: each starts a Chromium and a server.
  project("recipes", { globalSetup: [...postgres, build], fileParallelism: false, retry: process.env.CI ? 1 : 0 }),
  // The hooks. One file after the other, with one Chromium: the tests of a file are concurrent.
  project("react", { globalSetup: postgres, fileParallelism: false, retry: process.env.CI ? 1 : 0 }),
  project("stress", { testTimeout: 0 }),
  // These start servers of their own, to kill them.
  project("crash", { globalSetup: [], fileParallelism: false, testTimeout: 0 }),
  // One file after the other: they measure.
  project("load", {
    globalSetup: [support("durable-postgres"), support("migrated")],
    fileParallelism: false,
    execArgv: ["--expose-gc"],
    testTimeout: 0,
  }),
  // On the coordinator at CITUS_URL, in a database for these tests alone: they drop what is in it.
  project("citus", {
    include: process.env.CITUS_URL ? filesOf("citus") : ["test/citus/without-cluster.test.ts"],
    globalSetup: support("citus"),
    fileParallelism: false,
    provide: { drivers: "Citus" },
  }),
  ...majors.map(({ major, embeddedPostgres }) =>
    project(`postgres-${major}`, {
      include: filesOf("postgres"),
      globalSetup: [support("postgres-of-a-major"), support("migrated")],
      provide: { drivers: "node-postgres", embeddedPostgres },
    }),
  ),
  ...Object.keys({ ...peculiarTables, ...peculiarSessions }).map((name) =>
    project(`tables: ${name}`, {
      include: filesOf(name in peculiarTables ? "tables" : "sessions"),
      provide: { drivers: "node-postgres", peculiarity: name },
    }),
  ),
  project("drizzle-limits", { globalSetup: build }),
  ...drizzleVersions.map(({ installedAs }) =>
    project(
      installedAs === "drizzle-orm" ? "drizzle-orm-0.45" : installedAs,
      {
        include: filesOf("drizzle"),
        globalSetup: [...postgres, build],
        provide: {
          drivers: "servers",
          ...(installedAs === "drizzle-orm-0.44" && { schemaName: "it's a schema" }),
        },
      },
      {
        resolve: {
          alias: [
            // Also for the built package, which is not in node_modules and so goes through here as the tests do.
            { find: /^drizzle-orm(?=\/|$)/, replacement: installedAs },
            { find: /^.*\/src\/(index|schema)\.ts$/, replacement: `${root}dist/$1.js` },
          ],
        },
      },
    ),
  ),
];

expectEveryProjectToExist();

// `vitest run some-file` means the usual run of that file, not one in each project that has it.
const isUsual = !process.argv.some((argument) => argument.startsWith("--project"));

export default defineConfig({
  test: {
    reporters: ["default", new FlakyReporter()],
    projects: isUsual ? usual : [...usual, ...suites],
    // Tests mostly wait for Postgres: on two cores, one worker leaves half of the machine idle.
    maxWorkers: 3,
  },
});

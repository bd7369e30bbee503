import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import config from "../../vitest.config.ts";
import { majors } from "./majors.ts";

const suites = ["contract", "migrate", "two-writers"];
if (process.env.SUITES === "all") suites.push("model", "interleavings", "fidelity", "errors", "input", "turns");

const root = fileURLToPath(new URL("../..", import.meta.url));

export default defineConfig({
  root,
  test: {
    maxWorkers: 3,
    projects: majors.map(({ major, embeddedPostgres }) => ({
      ...config,
      root,
      test: {
        ...config.test,
        name: `Postgres ${major}`,
        include: suites.map((name) => `test/${name}.test.ts`),
        globalSetup: fileURLToPath(new URL("setup.ts", import.meta.url)),
        provide: { drivers: "node-postgres" as const, embeddedPostgres },
      },
    })),
  },
});

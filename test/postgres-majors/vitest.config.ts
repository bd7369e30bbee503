import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import config from "../../vitest.config.ts";
import { majors } from "./majors.ts";

const few = ["contract", "migrate"];
const bounded = [...few, "lifecycle", "two-writers"];
const all = [...bounded, "long-chats", "search", "model", "interleavings", "fidelity", "errors", "input", "turns"];

function suitesOn(major: number): string[] {
  // What works on the oldest and on the newest rarely fails in between.
  if (process.env.SUITES !== "all") return major === 14 || major === 18 ? bounded : few;
  // What it counts by, Postgres 14 does not have.
  return major === 14 ? all : [...all, "cost"];
}

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
        include: suitesOn(major).map((name) => `test/**/${name}.test.ts`),
        exclude: [],
        globalSetup: fileURLToPath(new URL("setup.ts", import.meta.url)),
        provide: { drivers: "node-postgres" as const, embeddedPostgres },
      },
    })),
  },
});

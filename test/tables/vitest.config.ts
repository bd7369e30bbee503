import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import config from "../../vitest.config.ts";
import { peculiarSessions, peculiarTables } from "./peculiarities.ts";

const isBounded = process.env.SUITES !== "all";
const suites = isBounded
  ? ["contract"]
  : ["contract", "lifecycle", "long-chats", "search", "fidelity", "requests", "approvals"];
const suitesWithWriters = isBounded
  ? [...suites, "lifecycle", "requests", "model"]
  : [...suites, "two-writers", "model", "live-turns", "interleavings"];

const root = fileURLToPath(new URL("../..", import.meta.url));
const project = (name: string, suites: string[]) => ({
  ...config,
  root,
  test: {
    ...config.test,
    name,
    include: suites.map((suite) => `test/**/${suite}.test.ts`),
    exclude: [],
    provide: { drivers: "node-postgres" as const, peculiarity: name },
  },
});

/** On tables and in sessions to which something was done. */
export default defineConfig({
  root,
  test: {
    maxWorkers: 3,
    projects: [
      ...Object.keys(peculiarTables).map((name) => project(name, suitesWithWriters)),
      ...Object.keys(peculiarSessions).map((name) => project(name, suites)),
    ],
  },
});

import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import config from "../../vitest.config.ts";

const bounded = [
  "citus",
  "contract",
  "lifecycle",
  "long-chats",
  "search",
  "requests",
  "live-turns",
  "two-writers",
  "model",
];
const all = [...bounded, "approvals", "turns", "recordings", "conversation/interleavings"];
const suites = process.env.SUITES === "all" ? all : bounded;
const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** On the coordinator at CITUS_URL, in a database for these tests alone: they drop what is in it. */
export default defineConfig({
  ...config,
  root: here("../.."),
  test: {
    ...config.test,
    include: process.env.CITUS_URL
      ? suites.map((suite) => `test/**/${suite}.test.ts`)
      : ["test/citus/without-cluster.test.ts"],
    exclude: [],
    globalSetup: here("setup.ts"),
    // They share the one database.
    fileParallelism: false,
    // Each statement goes through two servers.
    testTimeout: 120_000,
    provide: { drivers: "Citus" as const },
  },
});

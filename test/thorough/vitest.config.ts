import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import config from "../../vitest.config.ts";

const suites = ["model", "interleavings", "lifecycle-races", "hostile-bodies"];

/** What takes too long to be run all the time: every interleaving, and random sequences by the hundred. */
export default defineConfig({
  ...config,
  root: fileURLToPath(new URL("../..", import.meta.url)),
  test: {
    ...config.test,
    include: suites.map((suite) => `test/**/${suite}.test.ts`),
    exclude: [],
    env: { MODEL_RUNS: process.env.MODEL_RUNS ?? "100" },
  },
});

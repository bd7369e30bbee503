import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import config from "../../vitest.config.ts";

// Not the tests' usual Postgres: these start their own, to kill it.
export default defineConfig({
  plugins: config.plugins ?? [],
  root: fileURLToPath(new URL("../..", import.meta.url)),
  test: {
    include: ["test/crash/*.crash.ts"],
    fileParallelism: false,
    hookTimeout: 60_000,
    expect: config.test?.expect ?? {},
  },
});

import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import config from "../../vitest.config.ts";

export default defineConfig({
  ...config,
  root: fileURLToPath(new URL("../..", import.meta.url)),
  test: {
    ...config.test,
    include: ["test/load/*.load.ts"],
    globalSetup: fileURLToPath(new URL("postgres.ts", import.meta.url)),
    // One file after the other: they measure.
    fileParallelism: false,
    execArgv: ["--expose-gc"],
  },
});

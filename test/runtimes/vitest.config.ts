import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import config from "../../vitest.config.ts";

export default defineConfig({
  ...config,
  root: fileURLToPath(new URL("../..", import.meta.url)),
  test: {
    ...config.test,
    include: ["test/runtimes/*.test.ts"],
    testTimeout: 120_000,
    // The runtimes are 350 megabytes, which npm may have to download first.
    hookTimeout: 600_000,
  },
});

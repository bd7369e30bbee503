import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import config from "../../vitest.config.ts";

export default defineConfig({
  ...config,
  root: fileURLToPath(new URL("../..", import.meta.url)),
  test: {
    ...config.test,
    include: ["test/bundles/*.test.ts"],
    // Next takes most of a minute for either of its builds on a slow machine, and npm for the packages.
    testTimeout: 600_000,
    hookTimeout: 300_000,
  },
});

import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import config from "../../vitest.config.ts";

export default defineConfig({
  root: fileURLToPath(new URL("../..", import.meta.url)),
  // The first hook installs and builds the example.
  test: {
    include: ["test/browser/*.browser.ts"],
    testTimeout: 60_000,
    hookTimeout: 600_000,
    expect: config.test?.expect ?? {},
  },
});

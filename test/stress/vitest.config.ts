import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import config from "../../vitest.config.ts";

// Not mergeConfig, which would add to `include` instead of replacing it.
export default defineConfig({
  ...config,
  root: fileURLToPath(new URL("../..", import.meta.url)),
  test: { ...config.test, include: ["test/stress/*.stress.ts"] },
});

import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import config from "../../vitest.config.ts";

export default defineConfig({
  ...config,
  root: fileURLToPath(new URL("../..", import.meta.url)),
  // Most of the time an installation of the example's packages takes, where there is one.
  test: { ...config.test, include: ["test/examples/*.examples.ts"], hookTimeout: 300_000 },
});

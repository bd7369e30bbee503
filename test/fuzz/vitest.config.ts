import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import config from "../../vitest.config.ts";

/** More of what `npm test` does with a few hundred cases. A long run is one of FUZZ_CASES=10000. */
export default defineConfig({
  ...config,
  root: fileURLToPath(new URL("../..", import.meta.url)),
  test: {
    ...config.test,
    include: ["test/fuzz.test.ts"],
    env: { FUZZ_CASES: process.env.FUZZ_CASES ?? "1000" },
    testTimeout: 0,
  },
});

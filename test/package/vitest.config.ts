import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  root: fileURLToPath(new URL("../..", import.meta.url)),
  test: {
    include: ["test/package/*.test.ts"],
    globalSetup: fileURLToPath(new URL("pack.ts", import.meta.url)),
    // Most of the time goes to npm, which waits for the network.
    testTimeout: 180_000,
    hookTimeout: 300_000,
  },
});

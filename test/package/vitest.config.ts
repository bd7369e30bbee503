import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  root: fileURLToPath(new URL("../..", import.meta.url)),
  test: {
    include: ["test/package/*.test.ts"],
    globalSetup: ["../postgres.ts", "tarball.ts"].map((file) => fileURLToPath(new URL(file, import.meta.url))),
    // Most of the time goes to npm, which waits for the network.
    testTimeout: 180_000,
    hookTimeout: 300_000,
  },
});

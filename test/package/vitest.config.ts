import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  root: fileURLToPath(new URL("../..", import.meta.url)),
  // Most of the time goes to npm, which waits for the network.
  test: { include: ["test/package/*.test.ts"], testTimeout: 180_000, hookTimeout: 300_000 },
});

import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import config from "../../vitest.config.ts";

/** What depends on the driver. On the usual ones `npm test` runs it, with all else. */
const suites = ["contract", "lifecycle", "long-chats", "search", "migrate", "two-writers", "fidelity", "live-turns"];

export default defineConfig({
  ...config,
  root: fileURLToPath(new URL("../..", import.meta.url)),
  test: {
    ...config.test,
    include: [...suites.map((name) => `test/**/${name}.test.ts`), "test/drivers/*.test.ts"],
    provide: { drivers: "others" },
  },
});

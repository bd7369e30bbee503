import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vitest/config";

/** What `loader: { ".sql": "text" }` does in the build. */
const sqlAsText: Plugin = {
  name: "sql-as-text",
  enforce: "pre",
  transform: (code, id) =>
    id.endsWith(".sql") ? { code: `export default ${JSON.stringify(code)}`, map: null } : undefined,
};

export default defineConfig({
  plugins: [sqlAsText],
  test: {
    include: ["test/*.test.ts"],
    globalSetup: fileURLToPath(new URL("test/postgres.ts", import.meta.url)),
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});

import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import config from "../../vitest.config.ts";
import { drizzleVersions } from "./versions.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** What depends on Drizzle. */
const suites = ["contract", "lifecycle", "migrate", "errors"];

const contractWith = ({ installedAs }: { installedAs: string }) => ({
  ...config,
  root,
  resolve: {
    alias: [
      // Also for the built package, which is not in node_modules and so goes through here as the tests do.
      { find: /^drizzle-orm(?=\/|$)/, replacement: installedAs },
      { find: /^.*\/src\/(index|schema)\.ts$/, replacement: `${root}dist/$1.js` },
    ],
  },
  test: {
    ...config.test,
    name: installedAs,
    include: suites.map((name) => `test/**/${name}.test.ts`),
    provide: {
      drivers: "servers" as const,
      ...(installedAs === "drizzle-orm-0.44" && { schemaName: "it's a schema" }),
    },
  },
});

export default defineConfig({
  test: {
    maxWorkers: 3,
    projects: [
      { root, test: { name: "limits", include: ["test/drizzle/*.test.ts"], testTimeout: 60_000 } },
      ...drizzleVersions.map(contractWith),
    ],
  },
});

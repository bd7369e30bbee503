import { defineConfig } from "tsup";

export default defineConfig({
  entry: { index: "src/index.ts", schema: "src/schema.ts", cli: "src/cli/cli.ts" },
  format: "esm",
  target: "es2022",
  dts: { entry: { index: "src/index.ts", schema: "src/schema.ts" } },
  clean: true,
  // "crypto" could be anybody's package; "node:crypto" is Node's.
  removeNodeProtocol: false,
  // The SQL travels inside the JavaScript: a path to a file beside it would not survive the application's bundler.
  loader: { ".sql": "text" },
});

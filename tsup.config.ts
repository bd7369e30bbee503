import { rmSync } from "node:fs";
import { defineConfig, type Options } from "tsup";

const shared = {
  target: "es2022",
  // "crypto" could be anybody's package; "node:crypto" is Node's.
  removeNodeProtocol: false,
} satisfies Options;

export default defineConfig(() => {
  // Not with `clean`, by which one of these two would delete what the other has written.
  rmSync("dist", { recursive: true, force: true });
  return [
    {
      ...shared,
      entry: {
        index: "src/index.ts",
        schema: "src/schema.ts",
        handler: "src/handler.ts",
        client: "src/client.ts",
        react: "src/react.ts",
        cli: "src/cli/cli.ts",
      },
      format: "esm",
      dts: {
        entry: {
          index: "src/index.ts",
          schema: "src/schema.ts",
          handler: "src/handler.ts",
          client: "src/client.ts",
          react: "src/react.ts",
        },
      },
      // The SQL travels inside the JavaScript: a path to a file beside it would not survive the application's bundler.
      loader: { ".sql": "text" },
    },
    {
      ...shared,
      // To TypeScript, Drizzle's classes for `require` are other ones than those for `import`, and so are tables made of them.
      entry: { schema: "src/schema.ts" },
      format: "cjs",
      dts: true,
    },
  ];
});

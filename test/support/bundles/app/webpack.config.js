import { resolve } from "node:path";

export default {
  mode: "production",
  target: "node",
  entry: { "node-postgres": "./node-postgres.js", "postgres-js": "./postgres-js.js" },
  output: { path: resolve("out/webpack"), filename: "[name].cjs" },
  externals: { "pg-native": "commonjs pg-native" },
};

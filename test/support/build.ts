import { execFileSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { root } from "./pack.ts";

/** Builds the package for tests that use it as an application does, unless `dist` is newer than everything it is made of. */
export default function setup() {
  const sources = ["src", "migrations", "package.json", "tsconfig.json", "tsup.config.ts"];
  const changed = Math.max(...sources.flatMap(filesIn).map(modified));
  const built = Math.min(
    ...["index.js", "schema.js", "schema.cjs", "cli.js", "index.d.ts", "schema.d.ts", "schema.d.cts"].map((name) =>
      modified(join("dist", name)),
    ),
  );
  if (built < changed) execFileSync("npx", ["tsup", "--silent"], { cwd: root, stdio: "inherit" });
}

function filesIn(path: string): string[] {
  if (!statSync(join(root, path)).isDirectory()) return [path];
  return readdirSync(join(root, path)).flatMap((name) => filesIn(join(path, name)));
}

const modified = (path: string) => statSync(join(root, path), { throwIfNoEntry: false })?.mtimeMs ?? 0;

// `npm run types`
if (process.argv[1] === fileURLToPath(import.meta.url)) setup();

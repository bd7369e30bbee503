import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { installExample } from "./install-example.ts";
import { withLock } from "./locked.ts";
import { folder } from "./next-app.ts";
import { root } from "./pack.ts";

/** Next empties this folder when a build begins: what is noted in it is true of a whole build. */
const note = join(folder, ".next", "built-from");

/** Installs and builds the Next example, unless that was done with the same sources and the same package. */
export default () =>
  withLock("build-next", async () => {
    await installExample("next");
    const sources = digest();
    if (existsSync(note) && readFileSync(note, "utf8") === sources) return;
    const env = { ...process.env, NEXT_TELEMETRY_DISABLED: "1", NODE_ENV: "production" as const };
    execFileSync("npm", ["run", "build"], { cwd: folder, env, stdio: "inherit" });
    writeFileSync(note, sources);
  });

function digest(): string {
  const hash = createHash("sha256");
  for (const file of [...filesIn(folder), ...filesIn(join(root, "dist"))]) {
    hash.update(`${file}\n`).update(readFileSync(file));
  }
  return hash.digest("hex");
}

/** All but what is made: the packages, the build, and the data. */
function filesIn(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true })
    .filter(
      ({ name }) => !["node_modules", ".next", ".data", "next-env.d.ts"].includes(name) && !/\.(md|png)$/.test(name),
    )
    .sort((one, other) => (one.name < other.name ? -1 : 1))
    .flatMap((entry) => (entry.isDirectory() ? filesIn(join(directory, entry.name)) : [join(directory, entry.name)]));
}

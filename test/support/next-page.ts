import { execFileSync } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { folder as example } from "./next-app.ts";
import { blocksOf } from "./pages.ts";

/** The files of the application that docs/next.md prints, by their paths. */
export const printedFiles = new Map(
  blocksOf("docs/next.md").flatMap(({ note, text }) =>
    note.startsWith("next: ") ? [[note.slice("next: ".length), text] as const] : [],
  ),
);

/** What every Next application has, and a model. */
const otherFiles = {
  "app/layout.tsx": `export default function Layout({ children }: { children: React.ReactNode }) {
    return <html lang="en"><body>{children}</body></html>;
  }`,
  "lib/model.ts": `export { mockModel as model } from "../../../lib/mock-model";`,
  "next.config.ts": `export default { turbopack: { root: ${JSON.stringify(example)} }, devIndicators: false };`,
  "tsconfig.json": JSON.stringify({ extends: "../../tsconfig.json", include: ["**/*.ts", "**/*.tsx"] }),
};

/** Builds the printed application, with the packages of the example, and gives its folder. */
export async function buildPrintedApplication(): Promise<string> {
  const folder = join(example, ".data", "next-page");
  await rm(folder, { recursive: true, force: true });
  for (const [path, text] of [...printedFiles, ...Object.entries(otherFiles)]) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  // Without a database: the build must not need one.
  const env = { ...process.env, NODE_ENV: "production" as const, NEXT_TELEMETRY_DISABLED: "1", DATABASE_URL: "" };
  execFileSync(join(example, "node_modules", ".bin", "next"), ["build"], { cwd: folder, env, stdio: "inherit" });
  return folder;
}

/** The lines of a component that are its logic: without the elements that it returns, and blank ones. */
export function logicOf(text: string): string[] {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const begin = lines.indexOf("  return (");
  const end = lines.indexOf("  );", begin);
  return begin === -1 ? lines : [...lines.slice(0, begin), ...lines.slice(end + 1)];
}

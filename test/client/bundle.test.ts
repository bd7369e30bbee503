import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { expect, test } from "vitest";

/** What an application's bundler makes of an entry, and what it imports and reads. */
async function bundle(entry: string, platform: "browser" | "neutral") {
  const { outputFiles, metafile } = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: "esm",
    target: "es2022",
    platform,
    external: ["ai", "react", "@ai-sdk/react", "zod", "drizzle-orm", "node:*"],
  });
  const [output] = Object.values(metafile.outputs);
  return {
    text: outputFiles[0]?.text ?? "",
    size: gzipSync(outputFiles[0]?.contents ?? "", { level: 9 }).length,
    imports: output?.imports.map(({ path }) => path) ?? [],
    files: Object.keys(metafile.inputs),
  };
}

// The limits are the sizes themselves, rounded up to 100 bytes: a change that costs more has to be worth it. Branches cost
// the client 60 bytes, the hooks 290, the handler 80.

test("the client imports nothing but ai, and has at most 4.1 kB", async () => {
  const { text, size, imports, files } = await bundle("src/client.ts", "browser");
  expect(new Set(imports)).toEqual(new Set(["ai"]));
  expect(files.filter((file) => !/^src\/(client\.ts|client\/.*|protocol\.ts)$/.test(file))).toEqual([]);
  expect(text).not.toMatch(/\b(process|Buffer|require|node:)\b/);
  expect(size).toBeLessThanOrEqual(4_100);
});

test("the hooks import nothing but React and the SDK, and have at most 5.3 kB", async () => {
  const { text, size, imports, files } = await bundle("src/react.ts", "browser");
  expect(new Set(imports)).toEqual(new Set(["react", "@ai-sdk/react"]));
  expect(files.filter((file) => !/^src\/(react\.ts|react\/.*)$/.test(file))).toEqual([]);
  expect(text).not.toMatch(/\b(process|Buffer|require|node:)\b/);
  expect(size).toBeLessThanOrEqual(5_300);
});

test("the handler imports nothing but its peers, and has at most 6.1 kB", async () => {
  const { text, size, imports, files } = await bundle("src/handler.ts", "neutral");
  expect(new Set(imports)).toEqual(new Set(["ai"]));
  expect(files.filter((file) => !file.startsWith("src/"))).toEqual([]);
  expect(text).not.toMatch(/\b(Buffer|require|node:)\b/);
  expect(size).toBeLessThanOrEqual(6_100);
});

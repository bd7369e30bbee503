import { mkdir, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../support/folder.ts";
import { root } from "../support/pack.ts";
import { pages } from "../support/pages.ts";
import { printedScripts, type Recipe, recipes } from "../support/recipes.ts";
import { typeErrorsIn } from "../support/type-errors.ts";

const folder = temporaryFolder("recipe-types");
const printed = recipes.filter((recipe) => pages.includes(`docs/${recipe}.md`));

/** The `ai` that an application has to install with a package whose own dependency is an older version than the one here. */
function aiOf(recipe: Recipe): Record<string, string[]> {
  if (recipe !== "vue" && recipe !== "svelte") return {};
  const { resolve } = createRequire(join(root, "node_modules/@ai-sdk", recipe, "package.json"));
  return { ai: [join(dirname(resolve("ai/package.json")), "dist/index.d.ts")] };
}

// It compiles a whole program, and nothing in it waits.
test.each(printed)("the files of docs/%s.md type-check against the packages", { timeout: 0 }, async (recipe) => {
  const scripts = Object.entries(printedScripts(recipe));
  expect(scripts.length).toBeGreaterThan(2);
  const files = await Promise.all(
    scripts.map(async ([path, text]) => {
      const file = join(folder, recipe, path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, text);
      return file;
    }),
  );
  const found = typeErrorsIn(files, { paths: aiOf(recipe) });
  expect(found.map(({ file, line, message }) => `${file?.slice(folder.length + 1)}:${line + 1} ${message}`)).toEqual(
    [],
  );
});

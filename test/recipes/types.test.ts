import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../support/folder.ts";
import { pages } from "../support/pages.ts";
import { printedScripts, recipes } from "../support/recipes.ts";
import { typeErrorsIn } from "../support/type-errors.ts";

const folder = temporaryFolder("recipe-types");
const printed = recipes.filter((recipe) => pages.includes(`docs/${recipe}.md`));

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
  const found = typeErrorsIn(files);
  expect(found.map(({ file, line, message }) => `${file?.slice(folder.length + 1)}:${line + 1} ${message}`)).toEqual(
    [],
  );
});

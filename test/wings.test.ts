import { readdirSync, readFileSync } from "node:fs";
import { join, normalize } from "node:path";
import { expect, test } from "vitest";

/**
 * The floors of the house, from the roof down. What is on one may import what is below it; two wings of one floor do not
 * know each other. Files at the top of `src/` stand here by their own name, wings by their folder's.
 */
const floors = [
  ["index"],
  ["store"],
  ["chats", "messages", "turns", "cli"],
  ["conversation", "migrate"],
  ["database"],
  ["input"],
  ["errors", "schema", "types"],
  ["safe-cause"],
];

const source = readdirSync("src", { recursive: true, encoding: "utf8" }).filter(
  (file) => file.endsWith(".ts") && !file.endsWith(".d.ts"),
);

const wingOf = (file: string) => file.split("/")[0]?.replace(/\.ts$/, "") ?? file;
const floorOf = (file: string) => floors.findIndex((wings) => wings.includes(wingOf(file)));

const importsOf = (file: string) =>
  [...readFileSync(join("src", file), "utf8").matchAll(/(?:from|import)\s*\(?"(\.[^"]+\.ts)"/g)].map(([, path]) =>
    normalize(join(file, "..", path ?? "")),
  );

test("every file in src belongs to a floor", () => {
  expect(source.filter((file) => floorOf(file) === -1)).toEqual([]);
});

test("no file imports from a floor above it or from another wing of its floor", () => {
  const imports = source.flatMap((from) => importsOf(from).map((to) => ({ from, to })));
  expect(imports.length).toBeGreaterThan(source.length);
  const wrong = imports.filter(({ from, to }) => wingOf(from) !== wingOf(to) && floorOf(from) >= floorOf(to));
  expect(wrong).toEqual([]);
});

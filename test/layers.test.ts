import { readdirSync, readFileSync } from "node:fs";
import { join, normalize } from "node:path";
import { expect, test } from "vitest";

/**
 * The layers of `src/`, from the top down. A file imports only from the layers below its own, and from its own folder. A file at the top
 * of `src/` stands here by its name.
 */
const layers = [
  ["index", "handler", "react"],
  ["client"],
  ["store", "http"],
  ["chats", "messages", "turns", "branches", "cli"],
  ["conversation", "migrate"],
  ["database"],
  ["errors"],
  ["input", "schema", "protocol"],
  ["title", "types"],
];

const source = readdirSync("src", { recursive: true, encoding: "utf8" }).filter(
  (file) => file.endsWith(".ts") && !file.endsWith(".d.ts"),
);

const moduleOf = (file: string) => file.split("/")[0]?.replace(/\.ts$/, "") ?? file;
const layerOf = (file: string) => layers.findIndex((modules) => modules.includes(moduleOf(file)));

const importsOf = (file: string) =>
  [...readFileSync(join("src", file), "utf8").matchAll(/(?:from|import)\s*\(?"(\.[^"]+\.ts)"/g)].map(([, path]) =>
    normalize(join(file, "..", path ?? "")),
  );

test("every file in src belongs to a layer", () => {
  expect(source.filter((file) => layerOf(file) === -1)).toEqual([]);
});

test("no file imports from a layer above its own or from another folder of its layer", () => {
  const imports = source.flatMap((from) => importsOf(from).map((to) => ({ from, to })));
  expect(imports.length).toBeGreaterThan(source.length);
  const wrong = imports.filter(({ from, to }) => moduleOf(from) !== moduleOf(to) && layerOf(from) >= layerOf(to));
  expect(wrong).toEqual([]);
});

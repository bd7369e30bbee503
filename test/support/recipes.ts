import { type Block, blocksOf } from "./pages.ts";

/** The page of a recipe in docs has its name, and so has the comment above each of its files: `<!-- swr: app.tsx -->`. */
export const recipes = ["tanstack-query", "swr", "vue", "svelte", "assistant-ui"] as const;

export type Recipe = (typeof recipes)[number];

const pathOf = (recipe: Recipe, { note }: Block) =>
  note.startsWith(`${recipe}: `) ? note.slice(recipe.length + 2) : undefined;

export const isInRecipe = (block: Block): boolean => recipes.some((recipe) => pathOf(recipe, block) !== undefined);

/** The files that the page of a recipe prints, by their paths. */
export function printedFiles(recipe: Recipe): Record<string, string> {
  const files = blocksOf(`docs/${recipe}.md`).flatMap((block) => {
    const path = pathOf(recipe, block);
    return path === undefined ? [] : [[path, block.text] as const];
  });
  return Object.fromEntries(files);
}

/** The same files for TypeScript, which finds `./list.vue.ts` for an import of `./list.vue`. Of a template it sees nothing. */
export function printedScripts(recipe: Recipe): Record<string, string> {
  const scripts = Object.entries(printedFiles(recipe)).map(([path, text]) => {
    const [, script] = /<script[^>]*>\n([\s\S]*?)<\/script>/.exec(text) ?? [];
    if (script === undefined) return [path, text];
    const component = recipe === "vue" ? 'import("vue").Component' : 'import("svelte").Component<any>';
    return [`${path}.ts`, `${script}\nexport default {} as ${component};\n`];
  });
  return Object.fromEntries(scripts);
}

/** What a page in React has around the `App` of a recipe. `newId`: makes the id of a chat where the address has none. */
export const reactEntry = (newId: string) => ({
  "main.tsx": `
    import { StrictMode } from "react";
    import { createRoot } from "react-dom/client";
    import { App } from "./app";
    const id = new URLSearchParams(location.search).get("id") ?? ${newId};
    createRoot(document.getElementById("app")!).render(<StrictMode><App id={id} /></StrictMode>);
  `,
});

import { testRecipe } from "../support/recipe-tests.ts";
import { printedFiles } from "../support/recipes.ts";
import { sveltePlugin } from "../support/svelte-plugin.ts";

const entry = `
  import { mount } from "svelte";
  import App from "./App.svelte";
  const id = new URLSearchParams(location.search).get("id") ?? crypto.randomUUID();
  mount(App, { target: document.getElementById("app")!, props: { id } });
`;

testRecipe(
  "Svelte",
  {
    files: { ...printedFiles("svelte"), "main.ts": entry },
    entry: "main.ts",
    build: { plugins: [sveltePlugin], conditions: ["svelte", "browser"] },
  },
  { pageSize: 30 },
);

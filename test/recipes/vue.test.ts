import { testRecipe } from "../support/recipe-tests.ts";
import { printedFiles } from "../support/recipes.ts";
import { vueFlags, vuePlugin } from "../support/vue-plugin.ts";

const entry = `
  import { createApp } from "vue";
  import App from "./App.vue";
  const id = new URLSearchParams(location.search).get("id") ?? crypto.randomUUID();
  createApp(App, { id }).mount("#app");
`;

testRecipe(
  "Vue",
  {
    files: { ...printedFiles("vue"), "main.ts": entry },
    entry: "main.ts",
    build: { plugins: [vuePlugin], define: vueFlags },
  },
  { pageSize: 30 },
);

import { testRecipe } from "../support/recipe-tests.ts";
import { printedFiles, reactEntry } from "../support/recipes.ts";

const files = { ...printedFiles("assistant-ui"), ...reactEntry("undefined") };

testRecipe("assistant-ui", { files, entry: "main.tsx" }, { newChat: () => "/", pageSize: 30 });

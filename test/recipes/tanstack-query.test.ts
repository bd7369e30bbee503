import { testRecipe } from "../support/recipe-tests.ts";
import { printedFiles, reactEntry } from "../support/recipes.ts";

const files = { ...printedFiles("tanstack-query"), ...reactEntry("crypto.randomUUID()") };

testRecipe("TanStack Query", { files, entry: "main.tsx" }, { refusal: "shown" });

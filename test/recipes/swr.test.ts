import { testRecipe } from "../support/recipe-tests.ts";
import { printedFiles, reactEntry } from "../support/recipes.ts";

const files = { ...printedFiles("swr"), ...reactEntry("crypto.randomUUID()") };

testRecipe("SWR", { files, entry: "main.tsx" }, { refusal: "shown" });

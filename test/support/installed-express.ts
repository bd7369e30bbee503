import type { TestProject } from "vitest/node";
import { installExample } from "./install-example.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** The folder of the Express example, with its packages installed. */
    expressExample: string;
  }
}

/** Installs the example once for all test files. */
export default async function setup(project: TestProject) {
  project.provide("expressExample", await installExample("express"));
}

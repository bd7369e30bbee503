import { readFile } from "node:fs/promises";
import type { Plugin } from "esbuild";
import { compile, compileModule } from "svelte/compiler";

/** Lets esbuild load components and modules of Svelte, as Vite's plugin does. */
export const sveltePlugin: Plugin = {
  name: "svelte",
  setup: ({ onLoad }) =>
    onLoad({ filter: /\.svelte(\.js)?$/ }, async ({ path }) => {
      const source = await readFile(path, "utf8");
      const options = { filename: path, generate: "client" } as const;
      const { js, warnings } = path.endsWith(".js") ? compileModule(source, options) : compile(source, options);
      return { contents: js.code, warnings: warnings.map(({ message }) => ({ text: message })) };
    }),
};

import { readFile } from "node:fs/promises";
import type { Plugin } from "esbuild";
import { compileScript, parse } from "vue/compiler-sfc";

/** Lets esbuild load components of Vue, as Vite's plugin does. */
export const vuePlugin: Plugin = {
  name: "vue",
  setup: ({ onLoad }) =>
    onLoad({ filter: /\.vue$/ }, async ({ path }) => {
      const { descriptor, errors } = parse(await readFile(path, "utf8"), { filename: path });
      if (errors.length > 0) return { errors: errors.map(({ message }) => ({ text: message })) };
      const { content } = compileScript(descriptor, { id: path, inlineTemplate: true });
      return { contents: content, loader: "ts" };
    }),
};

/** What Vue wants a bundler to define. */
export const vueFlags = {
  __VUE_OPTIONS_API__: "false",
  __VUE_PROD_DEVTOOLS__: "false",
  __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: "false",
};

import { join } from "node:path";
import { build } from "esbuild";
import { root } from "../pack.ts";

/** Versions of React and of the SDK that belong together. */
export interface Versions {
  react: 18 | 19;
  ai: 5 | 6 | 7;
}

export const html = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Chat</title><link rel="icon" href="data:,">
<div id="app"></div><script type="module" src="/page.js"></script></html>`;

const scripts = new Map<string, Promise<string>>();

/** The result of `make` for a key, which is made once. */
export function cached<Result>(results: Map<string, Promise<Result>>, key: string, make: () => Promise<Result>) {
  const result = results.get(key) ?? make();
  results.set(key, result);
  return result;
}

const packagesOf = {
  5: { "@ai-sdk/react": "ai-sdk-react-2", ai: join(root, "node_modules/ai-sdk-react-2/node_modules/ai") },
  6: { "@ai-sdk/react": "ai-sdk-react-3", ai: join(root, "node_modules/ai-sdk-react-3/node_modules/ai") },
  7: {},
};

/** The page's script, with the hooks from `src` and one copy of each of these packages. */
export function scriptOf({ react, ai }: Versions): Promise<string> {
  return cached(scripts, `${react} ${ai}`, async () => {
    const { outputFiles } = await build({
      entryPoints: [join(root, "test/support/react-page/main.jsx")],
      bundle: true,
      write: false,
      format: "esm",
      target: "es2022",
      platform: "browser",
      jsx: "automatic",
      logLevel: "warning",
      define: { "process.env.NODE_ENV": '"development"' },
      alias: { ...packagesOf[ai], ...(react === 18 && { react: "react-18", "react-dom": "react-dom-18" }) },
    });
    return outputFiles[0]?.text ?? "";
  });
}

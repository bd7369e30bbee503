/**
 * The bundlers that an application with this package is known to work with. The scripts are those of `app/package.json`; each
 * leaves what it has bundled in `app/out`, in a folder of the script's name. Those that are slow, and find what a faster one
 * finds, are tried in the long run only.
 */
export const bundlers = [
  { name: "esbuild", tool: "esbuild", scripts: ["esbuild-esm", "esbuild-cjs"], often: true },
  { name: "webpack 5", tool: "webpack", scripts: ["webpack"], often: false },
  { name: "Next 16 (Turbopack)", tool: "next", scripts: ["next-turbopack"], often: true },
  { name: "Next 16 (webpack)", tool: "next", scripts: ["next-webpack"], often: false },
];

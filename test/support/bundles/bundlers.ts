/**
 * The bundlers that an application with this package is known to work with. The scripts are those of `app/package.json`; each
 * leaves what it has bundled in `app/out`, in a folder of the script's name.
 */
export const bundlers = [
  { name: "esbuild", tool: "esbuild", scripts: ["esbuild-esm", "esbuild-cjs"] },
  { name: "webpack 5", tool: "webpack", scripts: ["webpack"] },
  { name: "Next 16 (Turbopack)", tool: "next", scripts: ["next-turbopack"] },
  { name: "Next 16 (webpack)", tool: "next", scripts: ["next-webpack"] },
];

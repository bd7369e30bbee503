export default {
  output: "standalone",
  // Not a folder above that happens to hold a lockfile.
  outputFileTracingRoot: import.meta.dirname,
  // Next can use them if they are there, and here they are, for other reasons.
  outputFileTracingExcludes: { "*": ["node_modules/{webpack,esbuild}/**"] },
};

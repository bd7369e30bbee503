import type { NextConfig } from "next";

export default {
  // Brings its own WebAssembly and data files, which a bundler would lose.
  serverExternalPackages: ["@electric-sql/pglite"],
  // The repository around this example has a lockfile too.
  turbopack: { root: import.meta.dirname },
  devIndicators: false,
} satisfies NextConfig;

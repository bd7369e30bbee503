/**
 * The versions of Drizzle that the built package is tried with, as packages in package.json are named, and what does not
 * work with them. `limits.test.ts` shows that.
 */
export const drizzleVersions = [
  { installedAs: "drizzle-orm-0.44", but: "for schema names with a double quote", typeErrorsIn: [] },
  { installedAs: "drizzle-orm", but: "", typeErrorsIn: [] },
  {
    installedAs: "drizzle-orm-1",
    but: "for types",
    typeErrorsIn: ["dist/schema.d.ts", "tablesBesideMyOwn"],
  },
];

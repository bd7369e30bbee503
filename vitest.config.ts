import { fileURLToPath } from "node:url";
import { configDefaults, defineConfig, type Plugin } from "vitest/config";

/** What `loader: { ".sql": "text" }` does in the build. */
const sqlAsText: Plugin = {
  name: "sql-as-text",
  enforce: "pre",
  transform: (code, id) =>
    id.endsWith(".sql") ? { code: `export default ${JSON.stringify(code)}`, map: null } : undefined,
};

// With it Vitest 5 lists what failed, and Node 20 does not have it.
Map.groupBy ??= <Key, Item>(items: Iterable<Item>, keyOf: (item: Item, index: number) => Key) => {
  const groups = new Map<Key, Item[]>();
  for (const [index, item] of [...items].entries()) {
    const key = keyOf(item, index);
    groups.set(key, [...(groups.get(key) ?? []), item]);
  }
  return groups;
};

export default defineConfig({
  plugins: [sqlAsText],
  test: {
    include: ["test/*.test.ts", "test/{chats,conversation,turns,migrate,cli,database}/*.test.ts"],
    // Minutes long: they have `npm run test:thorough`.
    exclude: [...configDefaults.exclude, "test/**/{interleavings,lifecycle-races,hostile-bodies}.test.ts"],
    globalSetup: ["postgres", "pglite"].map((name) => fileURLToPath(new URL(`test/${name}.ts`, import.meta.url))),
    // Tests mostly wait for Postgres: on two cores, one worker leaves half of the machine idle.
    maxWorkers: 3,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // A second, as it is by default, is not long on a busy machine.
    expect: { poll: { timeout: 20_000 } },
  },
});

import { describe, expect, onTestFinished, test } from "vitest";
import { migrate } from "../../src/index.ts";
import { readCatalog } from "../../src/migrate/catalog.ts";
import { databases } from "../support/databases.ts";

describe.each(databases)("the catalog on $name", ({ open }) => {
  test.each(["chat_store", `it's a "schema"`])(
    "the catalog after migrate into schema %s equals migrations/catalog.json",
    async (schema) => {
      const { db, close } = await open({ empty: true });
      onTestFinished(close);
      await migrate(db, { schema });
      const catalog = await db.transaction((tx) => readCatalog(tx, schema));
      // `npm run generate` writes the file.
      await expect(`${JSON.stringify(catalog, null, 2)}\n`).toMatchFileSnapshot("../../migrations/catalog.json");
    },
  );
});

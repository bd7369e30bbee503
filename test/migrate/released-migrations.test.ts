import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { expect, test } from "vitest";

const folder = new URL("../../migrations/", import.meta.url);

/** A migration is added here with its release, and never changed again: databases that have it would not notice. */
const released = {
  "0000_chats.sql": "af566d9fd6379a14a35c6e2ef2b49491b4dbc6f45ca5f76735b589a12f794f32",
};

test("released migrations stay as they were released, and new ones come after them", async () => {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".sql")).sort();
  expect(names.slice(0, Object.keys(released).length)).toEqual(Object.keys(released));
  for (const [name, hash] of Object.entries(released)) {
    const text = await readFile(new URL(name, folder));
    expect(createHash("sha256").update(text).digest("hex"), name).toBe(hash);
  }
});

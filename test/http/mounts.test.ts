import { cp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { createDatabase } from "../support/databases.ts";
import { temporaryFolder } from "../support/folder.ts";
import { mounts, useMountedChat } from "../support/mounts.ts";
import { countLines } from "../support/pages.ts";
import { startServer } from "../support/start-server.ts";

const folder = temporaryFolder("mounts");
const onNode = mounts.filter(({ name }) => !["bun", "deno"].includes(name));

beforeAll(async () => {
  await cp("test/support/mounted-chat.ts", join(folder, "chat.ts"));
  for (const { name, block } of onNode) await writeFile(join(folder, `${name}.ts`), block.text);
});

test("the docs have a mount for Express, Hono, Node, srvx, Bun and Deno, and README one, each of at most 20 lines", () => {
  expect(mounts.map(({ name }) => name).sort()).toEqual(["README", "bun", "deno", "express", "hono", "node", "srvx"]);
  expect(mounts.filter(({ block }) => countLines(block.text) > 20)).toEqual([]);
});

describe.each(onNode)("The mount of the docs for $name", ({ name }) => {
  test("the mount serves every route as the docs print it", async () => {
    const { url: databaseUrl, drop } = await createDatabase({ empty: true });
    onTestFinished(drop);
    const args = ["--import", "tsx", join(folder, `${name}.ts`)];
    const env = { ...process.env, DATABASE_URL: databaseUrl };
    const url = await startServer(() => ({ file: process.execPath, args, env }));
    await useMountedChat(url);
  });
});

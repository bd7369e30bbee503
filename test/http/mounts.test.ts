import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { answering } from "../support/answering.ts";
import { createDatabase } from "../support/databases.ts";
import { temporaryFolder } from "../support/folder.ts";
import { mounts, useMountedChat } from "../support/mounts.ts";
import { countLines } from "../support/pages.ts";
import { onFreePort } from "../support/postgres.ts";

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
    const url = await onFreePort(async (port) => {
      const env = { ...process.env, DATABASE_URL: databaseUrl, PORT: String(port) };
      const server = spawn(process.execPath, ["--import", "tsx", join(folder, `${name}.ts`)], {
        env,
        stdio: ["ignore", "inherit", "inherit"],
      });
      const exited = once(server, "exit");
      onTestFinished(async () => {
        server.kill();
        await exited;
      });
      const url = `http://127.0.0.1:${port}`;
      await answering(url, server);
      return url;
    });
    await useMountedChat(url);
  });
});

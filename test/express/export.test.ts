import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { afterAll, describe, expect } from "vitest";
import type { ChatWithMessages } from "../../src/index.ts";
import { say } from "../support/conversations.ts";
import { countingProxy } from "../support/counting-proxy.ts";
import { createDatabase } from "../support/databases.ts";
import {
  asJson,
  askTwice,
  type ExampleServer,
  expectNoStackTrace,
  newUser,
  startForTest,
  startServer,
  test,
} from "../support/express.ts";

function chatsIn(text: string): ChatWithMessages[] {
  expect(text.endsWith("\n")).toBe(true);
  return text
    .slice(0, -1)
    .split("\n")
    .map((line) => JSON.parse(line));
}

test("An export holds every chat whole, on a line of its own", async ({ server }) => {
  const userId = newUser();
  const { id } = await askTwice(server, userId);
  const client = server.client(userId);
  const forks = Array.from({ length: 119 }, (_, made) => `${id}-${made}`);
  await Promise.all(forks.map((newId) => client.fork(id, { newId })));
  await client.update(id, { archived: true, title: "Two\nlines \u2028" });
  const response = await server.get("/api/export", userId);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("application/x-ndjson");
  const exported = chatsIn(await response.text());
  expect(exported).toHaveLength(120);
  const { chats } = await client.list({ limit: 1_000 });
  expect(chats).toHaveLength(119);
  const ids = [id, ...chats.map(({ id }) => id)];
  expect(exported.map(({ id }) => id).sort()).toEqual(ids.sort());
  for (const chat of [exported[0], exported.find((chat) => chat.id === id), exported.at(-1)]) {
    expect(chat).toEqual({ ...asJson(await server.getChat(chat?.id ?? "", userId)), userId });
  }
});

describe("An export of more than the network holds", () => {
  const count = 40;
  const userId = newUser();
  let database: Awaited<ReturnType<typeof createDatabase>>;
  let proxy: Awaited<ReturnType<typeof countingProxy>>;
  let server: ExampleServer;

  const settings = () => ({ DATABASE_URL: proxy.url });

  test.beforeAll(async ({ sharedModel }) => {
    database = await createDatabase();
    proxy = await countingProxy(database.url);
    server = await startServer({ ...settings(), ...sharedModel.settings });
    const id = randomUUID();
    const question = { id, message: say("user", "x".repeat(900_000)) };
    await (await server.postQuestion(question, { "x-user-id": userId })).text();
    const forks = Array.from({ length: count - 1 }, () => ({ id: randomUUID() }));
    const forked = forks.map((fork) => server.send("POST", `/api/chat/${id}/fork`, userId, fork));
    for (const { status } of await Promise.all(forked)) expect(status).toBe(201);
  });
  afterAll(async () => {
    await server?.dispose();
    await proxy?.close();
    await database?.drop();
  });

  const readWhole = async () => {
    expect(chatsIn(await (await server.get("/api/export", userId)).text())).toHaveLength(count);
  };

  /** A client that has got the headers, and does not read on. */
  const open = ({ url }: ExampleServer) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      request(`${url}/api/export`, { headers: { "x-user-id": userId } }, resolve)
        .on("error", reject)
        .end();
    });

  test("is read from the database as the client reads it, and no further once the client has left", async () => {
    const printed = server.output().length;
    const whole = await proxy.count(readWhole);
    const before = proxy.traffic().statements;
    const begun = () => proxy.traffic().statements - before;
    const client = await open(server);
    // Nothing comes after it that a test could wait for. Before its second statement, it may only be slow.
    const stands = async () => {
      const seen = begun();
      await sleep(200);
      return seen > 1 && begun() === seen;
    };
    await expect.poll(stands).toBe(true);
    expect(begun()).toBeLessThan(whole.statements);
    client.destroy();
    // If the server went on with the export that was left, this would count its statements, too.
    expect((await proxy.count(readWhole)).statements).toBeLessThan(whole.statements + 2);

    const reading = await open(server);
    await once(reading, "data");
    reading.destroy();
    expect((await server.client(userId).list({ limit: 100 })).chats).toHaveLength(count);
    expectNoStackTrace(server.output().slice(printed));
  });

  test("breaks off when it fails halfway, so that it does not look whole", async () => {
    const client = await open(server);
    const administrator = new pg.Client(database.url);
    await administrator.connect();
    await administrator.query("alter table chat_store.messages rename to mislaid");
    const read = async (client: IncomingMessage) => {
      for await (const _ of client);
    };
    await expect(read(client)).rejects.toThrow("aborted");
    await expect.poll(() => server.output()).toContain("exportChats did not find its tables");
    // Also an export that fails before its first line.
    await expect(open(server).then(read)).rejects.toThrow("aborted");
    await administrator.query("alter table chat_store.mislaid rename to messages");
    await administrator.end();
    await readWhole();
  });

  test("keeps no server from stopping while its client does not read", async () => {
    const stopping = await startForTest(settings());
    const client = await open(stopping);
    expect(await stopping.stop()).toBe(0);
    client.destroy();
    expectNoStackTrace(stopping.output());
  });
});

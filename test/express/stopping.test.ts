import { randomUUID } from "node:crypto";
import { Agent, request } from "node:http";
import pg from "pg";
import { expect, onTestFinished } from "vitest";
import { say, textOf } from "../support/conversations.ts";
import {
  asJson,
  ask,
  askAndHold,
  askAndLeave,
  expectNoStackTrace,
  expectToShow,
  newUser,
  startForTest,
  test,
} from "../support/express.ts";
import { answerTo } from "../support/model-server.ts";
import { freePort } from "../support/postgres.ts";

/** A module for Node's `--import` after which no HTTP server closes a connection because nobody has used it for some seconds. */
const patience = `data:text/javascript,${encodeURIComponent(`
  import { Server } from "node:http";
  const { listen } = Server.prototype;
  Server.prototype.listen = function (...options) {
    this.keepAliveTimeout = 0;
    return listen.apply(this, options);
  };
`)}`;

test("A server that stops finishes the answers it has begun, and the next one finds them in its folder", async ({
  model,
}) => {
  // Not a port that the system gives to another server as soon as this one is down.
  const before = await startForTest({ ...model.settings, PORT: String(await freePort()) });
  const userId = newUser();
  const chat = before.openChat(userId);
  await ask(chat, "Will you remember?");
  const stored = await before.getChat(chat.id, userId);
  const left = before.openChat(userId);
  const leftAnswer = await askAndLeave(model, left, "And this?");
  const staying = before.openChat(userId);
  const answer = await askAndHold(model, staying, "Shall I wait?");

  const stopped = before.stop();
  await before.hasBegunToStop();
  leftAnswer.finish();
  answer.finish();
  await answer.asked;
  expect(await stopped).toBe(0);
  expect(textOf(staying.messages[1])).toBe(answerTo(["Shall I wait?"]));
  await expect(before.fetch("/")).rejects.toThrow();

  const after = await startForTest({ ...model.settings, DATA_DIR: before.dataDir, PORT: new URL(before.url).port });
  expect(after.url).toBe(before.url);
  expect(await after.getChat(chat.id, userId)).toEqual(stored);
  const { messages } = await after.getChat(left.id, userId);
  expect(messages.map(textOf)).toEqual(["And this?", answerTo(["And this?"])]);
  expect((await after.getChat(staying.id, userId)).messages).toEqual(asJson(staying.messages));
  await ask(chat, "And now?");
  expect((await after.getChat(chat.id, userId)).messages).toEqual(asJson(chat.messages));
});

test("A server stops at Ctrl-C, which npm passes on a second time", async ({ model, databaseUrl }) => {
  const server = await startForTest({ ...model.settings, DATABASE_URL: databaseUrl });
  const { finish } = await askAndLeave(model, server.openChat(newUser()), "Hi");
  server.signal("SIGINT");
  await server.hasBegunToStop();
  const stopped = server.stop();
  finish();
  expect(await stopped).toBe(0);
});

test("A server ends the answers that take longer than it has to stop, and stores the words until then", async ({
  model,
  databaseUrl,
}) => {
  const settings = { ...model.settings, DATABASE_URL: databaseUrl, SHUTDOWN_SECONDS: "0.2" };
  const before = await startForTest(settings);
  const userId = newUser();
  const chat = before.openChat(userId);
  const { asked, aborted, firstWords } = await askAndHold(model, chat, "Have you got a minute?");
  expect(await before.stop()).toBe(0);
  await Promise.all([asked, aborted]);
  expect(textOf(chat.messages[1])).toBe(firstWords);
  const after = await startForTest(settings);
  expect((await after.getChat(chat.id, userId)).messages).toEqual(asJson(chat.messages));
});

test("A server that has begun to stop takes no question over a connection that is kept, and does not wait for its end", async ({
  model,
  databaseUrl,
}) => {
  const settings = { ...model.settings, DATABASE_URL: databaseUrl, NODE_OPTIONS: `--import=${patience}` };
  const server = await startForTest(settings);
  const [asking, keeping] = [new Agent({ keepAlive: true, maxSockets: 1 }), new Agent({ keepAlive: true })];
  onTestFinished(() => {
    asking.destroy();
    keeping.destroy();
  });
  const userId = newUser();
  const post = (text: string, agent: Agent) =>
    new Promise<number | undefined>((resolve, reject) => {
      const headers = { "x-user-id": userId, "content-type": "application/json" };
      request(`${server.url}/api/chat`, { method: "POST", agent, headers }, (response) => {
        response.resume().on("close", () => resolve(response.statusCode));
      })
        .on("error", reject)
        .end(JSON.stringify({ id: randomUUID(), message: say("user", text) }));
    });
  const [firstAnswer, lastAnswer] = [model.hold("First"), model.hold("Last")];
  const [first, last] = [post("First", asking), post("Last", keeping)];
  await Promise.all([firstAnswer.begun, lastAnswer.begun]);
  const stopped = server.stop();
  await server.hasBegunToStop();
  firstAnswer.finish();
  expect(await first).toBe(200);
  // The server closes no connection before the last answer has ended.
  expect(await post("Too late", asking)).toBe(503);
  lastAnswer.finish();
  expect(await last).toBe(200);
  expect(await stopped).toBe(0);
  expectNoStackTrace(server.output());
});

test("A server that stops still answers a question that it was storing, also when the client is cut off", async ({
  model,
  databaseUrl,
}) => {
  const settings = { ...model.settings, DATABASE_URL: databaseUrl };
  const before = await startForTest(settings);
  const userId = newUser();
  const chat = before.openChat(userId);
  const held = model.hold("Is it too late?");
  const locking = new pg.Client(databaseUrl);
  await locking.connect();
  await locking.query("begin; lock table chat_store.chats in exclusive mode");
  const asked = chat.sendMessage({ text: "Is it too late?" });
  const waiting = "select from pg_locks where relation = 'chat_store.chats'::regclass and not granted";
  await expect.poll(async () => (await locking.query(waiting)).rowCount).toBeGreaterThan(0);
  const stopped = before.stop();
  await before.hasBegunToStop();
  await locking.query("commit");
  await locking.end();
  await held.begun;
  await asked;
  expect(chat.error).toMatchObject({ code: "network" });
  held.finish();
  expect(await stopped).toBe(0);
  const after = await startForTest(settings);
  const { messages } = await after.getChat(chat.id, userId);
  expect(messages.map(textOf)).toEqual(["Is it too late?", answerTo(["Is it too late?"])]);
});

test("A server stops although a client does not read its answer", async ({ model, databaseUrl }) => {
  const server = await startForTest({ ...model.settings, DATABASE_URL: databaseUrl, SHUTDOWN_SECONDS: "0.2" });
  const userId = newUser();
  const id = randomUUID();
  const held = model.hold("Hi");
  const response = await server.postQuestion({ id, message: say("user", "Hi") }, { "x-user-id": userId });
  await held.begun;
  // More than what the system keeps for a client that does not read.
  const texts = Array.from({ length: 200 }, () => "x".repeat(40_000));
  for (const text of texts) held.say(text);
  held.finish();
  const length = async () => textOf((await server.getChat(id, userId)).messages[1])?.length;
  await expect.poll(length).toBe(texts.join("").length + answerTo(["Hi"]).length);
  expect(await server.stop()).toBe(0);
  await response.body?.cancel().catch(() => {});
});

test("A server stops although its clients follow the answer of another server, which goes on", async ({
  model,
  databaseUrl,
}) => {
  const speaking = await startForTest({ ...model.settings, DATABASE_URL: databaseUrl });
  const showing = await startForTest({ DATABASE_URL: databaseUrl });
  const userId = newUser();
  const chat = speaking.openChat(userId);
  const { asked, aborted, firstWords, say } = await askAndHold(model, chat, "Are you done?");

  const path = `/api/chat/${chat.id}/stream`;
  const [joined, left] = [await showing.get(path, userId), await showing.get(path, userId)];
  await left.body?.cancel();
  expect(await showing.stop()).toBe(0);
  await expect(joined.text()).rejects.toThrow();
  expectNoStackTrace(showing.output());
  say("No. ");
  await expectToShow(chat, `${firstWords}No. `);
  expect(chat.status).toBe("streaming");
  await speaking.send("DELETE", path, userId);
  await Promise.all([asked, aborted]);
  expect((await speaking.getChat(chat.id, userId)).messages).toEqual(asJson(chat.messages));
});

import { randomUUID } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { textOf } from "../support/conversations.ts";
import { eventually } from "../support/eventually.ts";
import {
  ask,
  askAndHold,
  askAndLeave,
  type ExampleServer,
  expectToShow,
  newFolder,
  newUser,
  startForTest,
  startServer,
  test,
} from "../support/express.ts";
import { answerTo } from "../support/model-server.ts";
import { freePort } from "../support/postgres.ts";

test("A server finds the chats of a killed one, and the words of the answer that was under way", async ({ model }) => {
  const before = await startForTest(model.settings);
  const userId = newUser();
  const finished = before.openChat(userId);
  await ask(finished, "Will you remember?");
  const stored = await before.getChat(finished.id, userId);
  const chat = before.openChat(userId);
  const { asked, aborted, firstWords } = await askAndHold(model, chat, "And this?");
  // What a client that joins shows has been recorded.
  const watching = before.openChat(userId, await before.getChat(chat.id, userId));
  const watched = watching.resumeStream();
  await expectToShow(watching, firstWords);
  await before.kill();
  await Promise.all([asked, watched, aborted]);

  const after = await startForTest({ ...model.settings, DATA_DIR: before.dataDir });
  expect(await after.getChat(finished.id, userId)).toEqual(stored);
  const joining = after.openChat(userId, await after.getChat(chat.id, userId));
  // The dead server is known to be dead after ten seconds of silence.
  await joining.resumeStream();
  expect(joining.error?.message).toContain("interrupted");
  expect(textOf(joining.messages[1])).toBe(firstWords);
  const messages = async () => (await after.getChat(chat.id, userId)).messages.map(textOf);
  expect(await messages()).toEqual(["And this?", firstWords]);
  await joining.regenerate();
  expect(await messages()).toEqual(["And this?", answerTo(["And this?"])]);
});

test("A server does not open the database of another one on its port", async ({ server }) => {
  const parent = await newFolder();
  onTestFinished(() => rm(parent, { recursive: true, force: true }));
  const folder = join(parent, "data");
  const { port } = new URL(server.url);
  await expect(startServer({ PORT: port, DATA_DIR: folder })).rejects.toThrow("EADDRINUSE");
  await expect(readdir(folder)).rejects.toThrow("ENOENT");
});

test("A server listens to its own machine only, unless HOST says otherwise", async ({ server, databaseUrl }) => {
  const others = Object.values(networkInterfaces())
    .flat()
    .filter((address) => address?.family === "IPv4" && !address.internal);
  expect(new URL(server.url).hostname).toBe("127.0.0.1");
  const reach = ({ url }: ExampleServer) =>
    Promise.allSettled(others.map((address) => fetch(`http://${address?.address}:${new URL(url).port}/`)));
  expect((await reach(server)).map(({ status }) => status)).toEqual(others.map(() => "rejected"));
  const open = await startForTest({ HOST: "0.0.0.0", DATABASE_URL: databaseUrl });
  expect((await reach(open)).map(({ status }) => status)).toEqual(others.map(() => "fulfilled"));
});

test("A server lets requests wait that come before its database is open", async () => {
  const port = await freePort();
  // In an empty folder, so that it takes the server seconds to open the database.
  const starting = startForTest({ PORT: String(port), DATA_DIR: await newFolder() });
  const headers = { "x-user-id": newUser() };
  const request = () => fetch(`http://127.0.0.1:${port}/api/chat`, { headers }).catch(() => undefined);
  const first = await eventually("the server accepts a connection", request);
  expect(first.status).toBe(200);
  await starting;
});

test("A server uses the Postgres at DATABASE_URL and no folder", async ({ model, databaseUrl }) => {
  const userId = newUser();
  const folder = join(tmpdir(), `express-example-${randomUUID()}`);
  const settings = { ...model.settings, DATABASE_URL: databaseUrl, DATA_DIR: folder };
  const before = await startForTest(settings);
  expect(before.output()).not.toContain(databaseUrl);
  const chat = before.openChat(userId);
  const { finish } = await askAndLeave(model, chat, "Hi");
  const stopped = before.stop();
  await before.hasBegunToStop();
  finish();
  expect(await stopped).toBe(0);
  const after = await startForTest(settings);
  const { messages } = await after.getChat(chat.id, userId);
  expect(messages.map(textOf)).toEqual(["Hi", answerTo(["Hi"])]);
  await expect(readdir(folder)).rejects.toThrow("ENOENT");
});

test("A server with OpenAI's key asks OpenAI; when that fails, the question stays and the log does not hold it", async ({
  model,
  databaseUrl,
}) => {
  const server = await startForTest({ ...model.settings, DATABASE_URL: databaseUrl, OPENAI_MODEL: "some-model" });
  const userId = newUser();
  const chat = server.openChat(userId);
  await ask(chat, "Are you real?");
  expect(textOf(chat.messages[1])).toBe(answerTo(["Are you real?"]));
  expect(model.requests.at(-1)).toEqual({
    authorization: `Bearer ${model.settings.OPENAI_API_KEY}`,
    model: "some-model",
    questions: ["Are you real?"],
  });

  model.refuse("Really?");
  await chat.sendMessage({ text: "Really?" });
  expect(chat.error?.message).toBe("An error occurred.");
  const { messages } = await server.getChat(chat.id, userId);
  expect(messages.map(textOf).slice(0, 3)).toEqual(["Are you real?", answerTo(["Are you real?"]), "Really?"]);
  await expect.poll(() => server.output()).toContain("Wrong key");
  expect(server.output()).not.toMatch(/Really\?|key-for-the-test/);
});

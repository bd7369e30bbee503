import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import { textOf } from "../support/conversations.ts";
import {
  asJson,
  ask,
  askAndHold,
  type ExampleServer,
  expectError,
  expectToShow,
  newUser,
  test,
} from "../support/express.ts";
import { answerTo, type ModelServer } from "../support/model-server.ts";

/** The error of a client whose answer breaks off, because it cannot be stored. */
const brokenOff = { name: "ChatRequestError", code: "network" };

/** A chat that is answering its last question. */
async function openAnswering(server: ExampleServer, model: ModelServer, userId: string, ...before: string[]) {
  const chat = server.openChat(userId);
  for (const question of before) await ask(chat, question);
  const place = chat.messages.length;
  const answer = await askAndHold(model, chat, "And this?");
  return { ...answer, chat, path: `/api/chat/${chat.id}`, question: chat.messages[place]?.id };
}

test("A chat can be deleted during an answer: it ends for all clients, and the server does not store it", async ({
  server,
  model,
}) => {
  const userId = newUser();
  const { chat, asked, aborted, firstWords, path } = await openAnswering(server, model, userId);
  const joining = server.openChat(userId, await server.getChat(chat.id, userId));
  const joined = joining.resumeStream();
  await expectToShow(joining, firstWords);
  expect(await server.client(userId).delete(chat.id)).toBe(true);
  // The error comes from the attempt to store the answer, and ends the response.
  await Promise.all([asked, joined, aborted]);
  expect(chat.error).toMatchObject(brokenOff);
  expect(textOf(chat.messages[1])).toBe(firstWords);
  expect(textOf(joining.messages[1])).toBe(firstWords);
  await expectError(await server.get(path, userId), 404);
  expect(await server.getChats(userId)).toEqual([]);

  const again = server.openChat(userId, { id: chat.id });
  await ask(again, "Anew?");
  const { messages } = await server.getChat(chat.id, userId);
  expect(messages.map(textOf)).toEqual(["Anew?", answerTo(["Anew?"])]);
});

test.for([
  ["alone", 2, {}, ["One?", answerTo(["One?"])]],
  ["with all messages before it", 0, { following: true }, []],
] as const)(
  "A question can be deleted %s during its answer, which ends and is not stored",
  async ([_, place, options, stored], { server, model }) => {
    const userId = newUser();
    const { chat, asked, aborted } = await openAnswering(server, model, userId, "One?");
    const messageId = chat.messages[place]?.id ?? "";
    expect(await server.client(userId).deleteMessage(chat.id, messageId, options)).toMatchObject({ id: chat.id });
    await Promise.all([asked, aborted]);
    expect(chat.error).toMatchObject(brokenOff);
    expect((await server.getChat(chat.id, userId)).messages.map(textOf)).toEqual(stored);
    const again = server.openChat(userId, await server.getChat(chat.id, userId));
    await ask(again, "Three?");
    expect((await server.getChat(chat.id, userId)).messages).toEqual(asJson(again.messages));
  },
);

test("An answer goes on while the rest of its chat is changed", async ({ server, model }) => {
  const userId = newUser();
  const client = server.client(userId);
  const { chat, asked, finish, question } = await openAnswering(server, model, userId, "One?");
  const { id } = chat;
  const [first, answer] = chat.messages.map(({ id }) => id);
  const newId = randomUUID();
  expect(await client.update(id, { title: "Tea", archived: true })).toMatchObject({ title: "Tea" });
  expect(await client.deleteMessage(id, answer ?? "")).toMatchObject({ id });
  expect(await client.fork(id, { newId })).toMatchObject({ id: newId });
  finish();
  await asked;
  expect(chat.error).toBeUndefined();
  const stored = await server.getChat(id, userId);
  expect(stored).toMatchObject({ title: "Tea", archivedAt: expect.any(Date) });
  expect(stored.messages).toEqual(asJson(chat.messages.toSpliced(1, 1)));
  expect((await server.getChat(newId, userId)).messages.map(({ id }) => id)).toEqual([first, question]);
});

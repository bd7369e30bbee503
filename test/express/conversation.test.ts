import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import { say, textOf } from "../support/conversations.ts";
import { asJson, ask, askAndHold, askAndLeave, newUser, test } from "../support/express.ts";
import { answerTo } from "../support/model-server.ts";

test("The server streams an answer with headers that keep proxies and compression from holding it back", async ({
  server,
}) => {
  const body = { id: randomUUID(), message: say("user", "Hi") };
  const response = await server.postQuestion(body, { "x-user-id": newUser() });
  await response.text();
  expect(Object.fromEntries(response.headers)).toMatchObject({
    "cache-control": "no-cache, no-transform",
    "content-type": "text/event-stream",
    "x-accel-buffering": "no",
    "x-chat-version": "1",
  });
});

test("The server stores an answer as the client shows it, under the question as title", async ({ server }) => {
  const userId = newUser();
  const chat = server.openChat(userId);
  await ask(chat, "Why is the sky blue?");
  await ask(chat, "And at night?");
  const stored = await server.getChat(chat.id, userId);
  expect(stored).toMatchObject({ id: chat.id, title: "Why is the sky blue?", version: 4 });
  expect(stored.messages).toEqual(asJson(chat.messages));
});

test("The client shows the words of an answer as the model says them", async ({ server, model }) => {
  const chat = server.openChat(newUser());
  const { asked, firstWords, say, finish } = await askAndHold(model, chat, "Slowly, please?");
  say("One ");
  await expect.poll(() => textOf(chat.messages[1])).toBe(`${firstWords}One `);
  say("two ");
  await expect.poll(() => textOf(chat.messages[1])).toBe(`${firstWords}One two `);
  finish();
  await asked;
});

test("The model gets the questions before, and a client that loads the chat goes on where another one stopped", async ({
  server,
  model,
}) => {
  const userId = newUser();
  const chat = server.openChat(userId);
  await ask(chat, "One");
  const { messages } = await server.getChat(chat.id, userId);
  const reloaded = server.openChat(userId, { id: chat.id, messages });
  await ask(reloaded, "Two");
  expect(model.requests.at(-1)?.questions).toEqual(["One", "Two"]);
  expect((await server.getChat(chat.id, userId)).messages).toEqual(asJson(reloaded.messages));
});

test("A regenerated answer and an edited question replace what was there", async ({ server }) => {
  const userId = newUser();
  const chat = server.openChat(userId);
  await ask(chat, "One");
  await chat.regenerate();
  await ask(chat, "Two");
  await chat.sendMessage({ text: "Three", messageId: chat.messages[0]?.id ?? "" });
  expect(chat.messages.map(textOf)).toEqual(["Three", answerTo(["Three"])]);
  expect((await server.getChat(chat.id, userId)).messages).toEqual(asJson(chat.messages));
});

test("A client that leaves during an answer finds the whole answer later", async ({ server, model }) => {
  const userId = newUser();
  const chat = server.openChat(userId);
  const { finish } = await askAndLeave(model, chat, "Will you finish?");
  expect(textOf(chat.messages[1])).not.toBe(answerTo(["Will you finish?"]));
  expect((await server.getChat(chat.id, userId)).messages).toHaveLength(1);
  finish();
  await expect
    .poll(async () => textOf((await server.getChat(chat.id, userId)).messages[1]))
    .toBe(answerTo(["Will you finish?"]));
});

test("A client whose question is edited elsewhere gets no end of its answer, which is not in the chat", async ({
  server,
  model,
}) => {
  const userId = newUser();
  const chat = server.openChat(userId);
  const { asked, aborted } = await askAndHold(model, chat, "Tea?");
  const message = say("user", "Coffee?", chat.messages[0]?.id);
  await (await server.postQuestion({ id: chat.id, message }, { "x-user-id": userId })).text();
  await Promise.all([asked, aborted]);
  expect(chat.error).toMatchObject({ name: "ChatRequestError", code: "network" });
  const { messages } = await server.getChat(chat.id, userId);
  expect(messages.map(textOf)).toEqual(["Coffee?", answerTo(["Coffee?"])]);
});

test.for([
  ["a long question, cut between characters", `${"é".repeat(77)}👍👍👍👍`, `${"é".repeat(77)}👍👍…`],
  ["a question of exactly 80 characters", "x".repeat(80), "x".repeat(80)],
  ["a question of several lines", " How\n\n does\tit \u0000 work? ", "How does it work?"],
  ["a question of white space", "\n", ""],
] as const)("The title is the start of %s", async ([_, text, title], { server }) => {
  const userId = newUser();
  const message = say("user", text);
  const response = await server.postQuestion({ id: randomUUID(), message }, { "x-user-id": userId });
  expect(response.status).toBe(200);
  await response.body?.cancel();
  expect(await server.getChats(userId)).toMatchObject([{ title }]);
});

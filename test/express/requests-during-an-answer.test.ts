import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import { say, textOf } from "../support/conversations.ts";
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

const changed = "The chat has changed meanwhile. Load it again.";

/** A chat that is answering its last question. */
async function openAnswering(server: ExampleServer, model: ModelServer, userId: string, ...before: string[]) {
  const chat = server.openChat(userId);
  for (const question of before) await ask(chat, question);
  const place = chat.messages.length;
  const answer = await askAndHold(model, chat, "And this?");
  return { ...answer, chat, path: `/api/chats/${chat.id}`, question: chat.messages[place]?.id ?? "" };
}

test.for([
  ["A chat", (path: string) => [path, 204] as const],
  ["All chats", () => ["/api/chats", 200] as const],
] as const)(
  "%s can be deleted during an answer: it ends for all clients, and the server does not store it",
  async ([_, target], { server, model }) => {
    const userId = newUser();
    const { chat, asked, aborted, firstWords, path } = await openAnswering(server, model, userId);
    const joining = server.openChat(userId, await server.getChat(chat.id, userId));
    const joined = joining.resumeStream();
    await expectToShow(joining, firstWords);
    const [address, status] = target(path);
    const deletion = await server.send("DELETE", address, userId);
    expect(deletion.status).toBe(status);
    // The error comes from the attempt to store the answer, and ends the response.
    await Promise.all([asked, joined, aborted]);
    expect(chat.error?.message).toBe(changed);
    expect(textOf(chat.messages[1])).toBe(firstWords);
    expect(textOf(joining.messages[1])).toBe(firstWords);
    await expectError(await server.get(path, userId), 404);
    expect(await server.getChats(userId)).toEqual([]);

    const again = server.openChat(userId, { id: chat.id });
    await ask(again, "Anew?");
    const { messages } = await server.getChat(chat.id, userId);
    expect(messages.map(textOf)).toEqual(["Anew?", answerTo(["Anew?"])]);
  },
);

test.for([
  ["deleted", "DELETE", undefined, ["One?", answerTo(["One?"])]],
  ["changed", "PUT", say("user", "And that?"), ["One?", answerTo(["One?"]), "And that?"]],
] as const)(
  "A question can be %s during its answer, which ends and is not stored",
  async ([_, method, body, stored], { server, model }) => {
    const userId = newUser();
    const { chat, asked, aborted, path, question } = await openAnswering(server, model, userId, "One?");
    expect((await server.send(method, `${path}/messages/${question}`, userId, body)).status).toBe(200);
    await Promise.all([asked, aborted]);
    expect(chat.error?.message).toBe(changed);
    expect((await server.getChat(chat.id, userId)).messages.map(textOf)).toEqual(stored);
    const again = server.openChat(userId, await server.getChat(chat.id, userId));
    await ask(again, "Three?");
    expect((await server.getChat(chat.id, userId)).messages).toEqual(asJson(again.messages));
  },
);

test("An answer goes on while the rest of its chat is changed", async ({ server, model }) => {
  const userId = newUser();
  const { chat, asked, finish, path, question } = await openAnswering(server, model, userId, "One?");
  const [first, answer] = chat.messages.map(({ id }) => id);
  const corrected = say("user", "First?");
  const forkId = randomUUID();
  const statuses = [
    await server.send("PATCH", path, userId, { title: "Tea", archived: true }),
    await server.send("PUT", `${path}/messages/${first}`, userId, corrected),
    await server.send("DELETE", `${path}/messages/${answer}`, userId),
    await server.send("POST", `${path}/fork`, userId, { id: forkId }),
  ].map(({ status }) => status);
  expect(statuses).toEqual([200, 200, 200, 201]);
  finish();
  await asked;
  expect(chat.error).toBeUndefined();
  const stored = await server.getChat(chat.id, userId);
  expect(stored).toMatchObject({ title: "Tea", archivedAt: expect.any(String) });
  expect(stored.messages).toEqual([{ ...corrected, id: first }, ...asJson(chat.messages.slice(2))]);
  expect((await server.getChat(forkId, userId)).messages.map(({ id }) => id)).toEqual([first, question]);
});

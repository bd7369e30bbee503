import { randomUUID } from "node:crypto";
import { expect, onTestFinished } from "vitest";
import { say } from "../support/conversations.ts";
import { type ExampleServer, expectError, newUser, test } from "../support/express.ts";

const mostStreams = 10;

/** A chat whose answer the model holds, and the response that streams it. */
async function openAnswer(server: ExampleServer, hold: (text: string) => { finish(): void }, userId: string) {
  const id = randomUUID();
  const text = `Question ${id}`;
  const held = hold(text);
  const response = await server.postQuestion({ id, message: say("user", text) }, { "x-user-id": userId });
  onTestFinished(() => response.body?.cancel().catch(() => {}));
  expect(response.status).toBe(200);
  return { id, response, finish: () => held.finish() };
}

test("A user has ten streams at most, answers and those that follow one, and the next one is refused with 429", async ({
  server,
  model,
}) => {
  const [userId, other] = [newUser(), newUser()];
  const hold = model.hold.bind(model);
  const answers = await Promise.all([1, 2, 3].map(() => openAnswer(server, hold, userId)));
  const [first] = answers;
  const path = `/api/chat/${first?.id}/stream`;
  const followers = await Promise.all(answers.concat(answers).map(() => server.get(path, userId)));
  followers.push(await server.get(path, userId));
  expect(followers.map(({ status }) => status)).toEqual(followers.map(() => 200));
  expect(answers.length + followers.length).toBe(mostStreams);

  const question = { id: randomUUID(), message: say("user", "One more?") };
  const refused = [await server.get(path, userId), await server.postQuestion(question, { "x-user-id": userId })];
  for (const response of refused) {
    expect(response.headers.get("retry-after")).toBe("2");
    await expectError(response, 429);
  }
  // Not even the question is stored.
  await expectError(await server.get(`/api/chats/${question.id}`, userId), 404);
  const others = await openAnswer(server, hold, other);

  for (const { body } of followers) await body?.cancel();
  await expect.poll(async () => (await server.get(`/api/chat/${randomUUID()}/stream`, userId)).status).toBe(204);
  for (const { finish } of [...answers, others]) finish();
  await Promise.all([...answers, others].map(({ response }) => response.text()));
});

test("An answer whose client has gone counts until it is stored", async ({ server, model }) => {
  const userId = newUser();
  const answers = await Promise.all(
    Array.from({ length: mostStreams }, () => openAnswer(server, model.hold.bind(model), userId)),
  );
  for (const { response } of answers) await response.body?.cancel();
  const question = { id: randomUUID(), message: say("user", "And now?") };
  const ask = () => server.postQuestion(question, { "x-user-id": userId });
  await expectError(await ask(), 429);
  for (const { finish } of answers) finish();
  await expect
    .poll(async () => {
      const response = await ask();
      await response.text();
      return response.status;
    })
    .toBe(200);
});

import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type ChatStoreOptions, createChatStore } from "../../src/index.ts";
import { type CapturedDatabase, openCaptured } from "../support/captured.ts";
import { createHandler, question, requestTo } from "../support/chat-handler.ts";
import { say } from "../support/conversations.ts";

let database: CapturedDatabase;
beforeAll(async () => {
  database = await openCaptured();
});
afterAll(() => database.close());

let id: string;
beforeEach(async () => {
  id = randomUUID();
  const messages = [say("user", "Why?", "q"), say("assistant", "Because.", "a")];
  await createChatStore(database.db).upsertChat({ userId: "u", chatId: id, messages });
});

/** The statements of a request whose response is read to its end. */
async function statementsOf(method: string, path: string, body?: object, options?: ChatStoreOptions) {
  const { chat } = createHandler(createChatStore(database.db, options), { userId: () => "u" });
  let status = 0;
  const { statements } = await database.capture(async () => {
    const response = await chat(requestTo(method, path, body && { body }));
    status = response.status;
    await response.text();
  });
  expect(status).toBeLessThan(300);
  return statements.map(({ text }) => text);
}

test.each<[string, string, (id: string) => [path: string, body?: object]]>([
  ["GET", "/", () => ["/"]],
  ["GET", "/?search", () => ["/?search=because"]],
  ["GET", "/:id", (id) => [`/${id}`]],
  ["PATCH", "/:id", (id) => [`/${id}`, { title: "New" }]],
  ["DELETE", "/:id", (id) => [`/${id}`]],
  ["POST", "/:id/fork", (id) => [`/${id}/fork`, { id: randomUUID() }]],
  ["DELETE", "/:id/messages/:messageId", (id) => [`/${id}/messages/a`]],
  ["DELETE", "/:id/stream", (id) => [`/${id}/stream`]],
])("%s %s sends one statement", async (method, _, requestOf) => {
  const [path, body] = requestOf(id);
  expect(await statementsOf(method, path, body)).toHaveLength(1);
});

test("POST / sends two statements for the question and one for the answer, beside the recording's", async () => {
  const statements = await statementsOf("POST", "/", { id, message: question("And?", "q2") });
  const isOfRecording = (text: string) => text.includes("beat_at = now(), ended_at = null");
  expect(statements.filter((text) => !isOfRecording(text))).toHaveLength(3);
});

test("with branches, GET /:id sends one statement, POST / as many as without, and a switch two", async () => {
  const options = { branches: true };
  const statements = (method: string, path: string, body?: object) => statementsOf(method, path, body, options);
  const isOfRecording = (text: string) => text.includes("beat_at = now(), ended_at = null");
  const again = { id, message: question("Why?"), trigger: "regenerate-message" };
  const asked = await statements("POST", "/", again);
  expect(asked.filter((text) => !isOfRecording(text))).toHaveLength(3);
  expect(await statements("GET", `/${id}`)).toHaveLength(1);
  const [point] = await createChatStore(database.db, options).getBranches({ userId: "u", chatId: id });
  expect(await statements("POST", `/${id}/branches/${point?.branches[0]?.id}`)).toHaveLength(2);
});

test("GET /:id/stream sends two statements where the page shows the last answer", async () => {
  expect(await statementsOf("GET", `/${id}/stream?version=1`)).toHaveLength(2);
});

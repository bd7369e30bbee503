import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import { asJson, ask, askTwice, expectError, newUser, test } from "../support/express.ts";

test("A new title leaves a chat's place in the list and its version alone", async ({ server }) => {
  const userId = newUser();
  const [older, newer] = [server.openChat(userId), server.openChat(userId)];
  await ask(older, "a");
  await ask(newer, "b");
  const { messages, ...before } = await server.getChat(older.id, userId);
  const chat = { ...before, title: "Tea" };
  const changed = await server.send("PATCH", `/api/chat/${older.id}`, userId, { title: "Tea" });
  expect(changed.status).toBe(200);
  expect(await changed.json()).toEqual(asJson(chat));
  expect(await server.getChat(older.id, userId)).toEqual({ ...chat, messages });
  expect((await server.getChats(userId)).map(({ id }) => id)).toEqual([newer.id, older.id]);
  expect(await server.client(userId).update(older.id, { title: "" })).toEqual({ ...chat, title: "" });
});

test("The archive and the list each hold their own chats", async ({ server }) => {
  const userId = newUser();
  const client = server.client(userId);
  const [kept, put] = [server.openChat(userId), server.openChat(userId)];
  await ask(kept, "a");
  await ask(put, "b");
  expect(await client.update(put.id, { archived: true })).toMatchObject({ archivedAt: expect.any(Date) });
  const ids = async (options: Parameters<typeof client.list>[0]) =>
    (await client.list(options)).chats.map(({ id }) => id);
  expect(await ids({})).toEqual([kept.id]);
  expect(await ids({ archived: false })).toEqual([kept.id]);
  expect(await ids({ archived: true })).toEqual([put.id]);
  expect(await ids({ archived: true, limit: 1 })).toEqual([put.id]);
  // It can be read, and asked another question, all the same.
  await ask(put, "c");
  expect((await server.getChat(put.id, userId)).messages).toHaveLength(4);
  expect(await ids({ archived: true })).toEqual([put.id]);
  expect(await client.update(put.id, { archived: false })).toMatchObject({ archivedAt: null });
  expect(await ids({})).toEqual([put.id, kept.id]);
});

test("A fork has the messages up to the one named, and goes its own way", async ({ server, model }) => {
  const userId = newUser();
  const { id, path, first } = await askTwice(server, userId);
  const before = await server.getChat(id, userId);
  const newId = randomUUID();
  const body = { id: newId, throughMessageId: first, title: "Another way" };
  const forked = await server.send("POST", `${path}/fork`, userId, body);
  expect(forked.status).toBe(201);
  expect(await forked.json()).toMatchObject({ id: newId, title: "Another way", version: 1 });
  expect((await server.getChat(newId, userId)).messages).toEqual(before.messages.slice(0, 1));
  const whole = randomUUID();
  expect((await server.send("POST", `${path}/fork`, userId, { id: whole })).status).toBe(201);
  expect(await server.getChat(whole, userId)).toMatchObject({ title: "One?", messages: before.messages });

  const fork = server.openChat(userId, await server.getChat(whole, userId));
  await ask(fork, "Three?");
  expect(model.requests.at(-1)?.questions).toEqual(["One?", "Two?", "Three?"]);
  expect(await server.getChat(id, userId)).toEqual(before);

  expect(await expectError(await server.send("POST", `${path}/fork`, userId, { id: newId }), 409)).toContain("already");
  await expectError(await server.send("POST", `${path}/fork`, userId, { id }), 409);
  const unknown = { id: randomUUID(), throughMessageId: "unknown" };
  await expectError(await server.send("POST", `${path}/fork`, userId, unknown), 404);
  await expectError(await server.get(`/api/chat/${unknown.id}`, userId), 404);
  const others = server.openChat(newUser());
  await ask(others, "Mine?");
  await expectError(await server.send("POST", `${path}/fork`, userId, { id: others.id }), 404);
  expect(await server.getChats(userId)).toHaveLength(3);
});

test("A message is deleted alone, or with all that follow", async ({ server }) => {
  const userId = newUser();
  const { id, path, second } = await askTwice(server, userId);
  const { messages } = await server.getChat(id, userId);
  const answer = messages[1]?.id ?? "";
  const alone = await server.send("DELETE", `${path}/messages/${answer}`, userId);
  expect(alone.status).toBe(200);
  expect(await alone.json()).toMatchObject({ id, version: 5 });
  expect((await server.getChat(id, userId)).messages).toEqual(messages.toSpliced(1, 1));
  await expectError(await server.send("DELETE", `${path}/messages/${answer}`, userId), 404);
  expect((await server.send("DELETE", `${path}/messages/${second}?following=true`, userId)).status).toBe(200);
  expect((await server.getChat(id, userId)).messages).toEqual(messages.slice(0, 1));
  const chat = server.openChat(userId, await server.getChat(id, userId));
  await ask(chat, "Three?");
  expect((await server.getChat(id, userId)).messages).toEqual(asJson(chat.messages));
});

test("A user deletes one chat, and keeps the others", async ({ server }) => {
  const userId = newUser();
  const [chat, kept] = [server.openChat(userId), server.openChat(userId)];
  await Promise.all([chat, kept].map((chat) => ask(chat, "Hi")));
  const path = `/api/chat/${chat.id}`;
  const deleted = await server.send("DELETE", path, userId);
  expect([deleted.status, await deleted.text()]).toEqual([204, ""]);
  await expectError(await server.get(path, userId), 404);
  await expectError(await server.send("DELETE", path, userId), 404);
  expect(await (await server.get("/api/export", userId)).text()).not.toContain(chat.id);
  expect((await server.getChat(kept.id, userId)).messages).toHaveLength(2);
});

test.for([
  ["/api/chat/", 405],
  ["/api/chat/.", 405],
  ["/api/chat/%2e", 405],
  ["/api/chat//", 405],
  ["/api/chat/%20", 404],
  ["/api/chat/ID/messages", 404],
  ["/api/chat/ID/messages/", 404],
  ["/api/chat/ID/messages//", 404],
  ["/api/chat/ID/messages/%2e%2e/messages", 404],
] as const)("An id that is left out deletes nothing: %s", async ([path, status], { server }) => {
  const userId = newUser();
  const { id } = await askTwice(server, userId);
  const stored = await server.getChat(id, userId);
  await expectError(await server.send("DELETE", path.replace("ID", id), userId), status);
  expect(await server.getChat(id, userId)).toEqual(stored);
});

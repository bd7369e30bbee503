import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import type { Chat } from "../../src/index.ts";
import { say } from "../support/conversations.ts";
import { asJson, ask, askTwice, expectError, newUser, test } from "../support/express.ts";

const { parts } = say("user", "Corrected?");

test("A new title and metadata leave a chat's place in the list and its version alone", async ({ server }) => {
  const userId = newUser();
  const [older, newer] = [server.openChat(userId), server.openChat(userId)];
  await ask(older, "a");
  await ask(newer, "b");
  const before = await server.getChat(older.id, userId);
  const path = `/api/chats/${older.id}`;
  const changed = await server.send("PATCH", path, userId, { title: "Tea", metadata: { pinned: true } });
  expect(changed.status).toBe(200);
  const { messages, ...chat } = { ...before, title: "Tea", metadata: { pinned: true } };
  expect(await changed.json()).toEqual(chat);
  expect(await server.getChat(older.id, userId)).toEqual({ ...chat, messages });
  expect((await server.getChats(userId)).map(({ id }) => id)).toEqual([newer.id, older.id]);

  expect(await (await server.send("PATCH", path, userId, { titleIfEmpty: "Made up" })).json()).toEqual(chat);
  const late = { title: "Coffee", expectedTitle: "Made up" };
  expect(await (await server.send("PATCH", path, userId, late)).json()).toEqual(chat);
  expect((await server.send("PATCH", path, userId, { title: "", expectedTitle: "Tea" })).status).toBe(200);
  expect(await (await server.send("PATCH", path, userId, { titleIfEmpty: "Made up" })).json()).toMatchObject({
    title: "Made up",
    metadata: { pinned: true },
  });
  expect(await (await server.send("PATCH", path, userId, { metadata: null })).json()).not.toHaveProperty("metadata");
});

test("The archive and the list each hold their own chats", async ({ server }) => {
  const userId = newUser();
  const [kept, put] = [server.openChat(userId), server.openChat(userId)];
  await ask(kept, "a");
  await ask(put, "b");
  const path = `/api/chats/${put.id}`;
  const archived = (await (await server.send("PATCH", path, userId, { archived: true })).json()) as Chat;
  expect(archived.archivedAt).toEqual(expect.any(String));
  const ids = async (query: string) => (await server.getJson<Chat[]>(`/api/chats${query}`, userId)).map(({ id }) => id);
  expect(await ids("")).toEqual([kept.id]);
  expect(await ids("?archived=false")).toEqual([kept.id]);
  expect(await ids("?archived=true")).toEqual([put.id]);
  expect(await ids("?archived=true&limit=1")).toEqual([put.id]);
  // It can be read and talked in all the same.
  await ask(put, "c");
  expect((await server.getChat(put.id, userId)).messages).toHaveLength(4);
  expect(await ids("?archived=true")).toEqual([put.id]);
  expect(await (await server.send("PATCH", path, userId, { archived: false })).json()).toMatchObject({
    archivedAt: null,
  });
  expect(await ids("")).toEqual([put.id, kept.id]);
});

test("A fork has the messages up to the one named, and goes its own way", async ({ server, model }) => {
  const userId = newUser();
  const { id, path, first } = await askTwice(server, userId);
  const before = await server.getChat(id, userId);
  const newId = randomUUID();
  const body = { id: newId, throughMessageId: first, title: "Another way" };
  const forked = await server.send("POST", `${path}/fork`, userId, body);
  expect(forked.status).toBe(201);
  expect(await forked.json()).toMatchObject({ id: newId, userId, title: "Another way", version: 1 });
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
  await expectError(await server.get(`/api/chats/${unknown.id}`, userId), 404);
  const others = server.openChat(newUser());
  await ask(others, "Mine?");
  await expectError(await server.send("POST", `${path}/fork`, userId, { id: others.id }), 404);
  expect(await server.getChats(userId)).toHaveLength(3);
});

test("A user changes a question where it stands, and nothing else changes", async ({ server }) => {
  const userId = newUser();
  const { id, path, first, second } = await askTwice(server, userId);
  const { messages, ...before } = await server.getChat(id, userId);
  const changed = await server.send("PUT", `${path}/messages/${first}`, userId, {
    id: second,
    role: "user",
    parts,
    metadata: { corrected: true },
  });
  expect(changed.status).toBe(200);
  const chat = { ...before, version: before.version + 1, updatedAt: expect.any(String) };
  expect(await changed.json()).toEqual(chat);
  const expected = [{ id: first, role: "user", parts, metadata: { corrected: true } }, ...messages.slice(1)];
  expect(await server.getChat(id, userId)).toEqual({ ...chat, messages: expected });
  expect((await server.send("PUT", `${path}/messages/${first}`, userId, { role: "user", parts })).status).toBe(200);
  expect((await server.getChat(id, userId)).messages[0]).toEqual({ id: first, role: "user", parts });
  await expectError(await server.send("PUT", `${path}/messages/unknown`, userId, { role: "user", parts }), 404);
});

test("A user cannot change an answer, whatever role the request claims for it", async ({ server }) => {
  const userId = newUser();
  const { id, path, first } = await askTwice(server, userId);
  const before = await server.getChat(id, userId);
  const answer = before.messages[1]?.id ?? "";
  for (const role of ["assistant", "system", "user"]) {
    await expectError(await server.send("PUT", `${path}/messages/${answer}`, userId, { role, parts }), 400);
  }
  await expectError(await server.send("PUT", `${path}/messages/${first}`, userId, { role: "assistant", parts }), 400);
  expect(await server.getChat(id, userId)).toEqual(before);
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

test("A user deletes one chat and then all chats, and the other users keep theirs", async ({ server }) => {
  const [userId, other] = [newUser(), newUser()];
  const chats = [server.openChat(userId), server.openChat(userId), server.openChat(userId)];
  const others = server.openChat(other);
  await Promise.all([...chats, others].map((chat) => ask(chat, "Hi")));
  const path = `/api/chats/${chats[0]?.id}`;
  const deleted = await server.send("DELETE", path, userId);
  expect([deleted.status, await deleted.text()]).toEqual([204, ""]);
  await expectError(await server.get(path, userId), 404);
  await expectError(await server.send("DELETE", path, userId), 404);
  await server.send("PATCH", `/api/chats/${chats[1]?.id}`, userId, { archived: true });
  expect(await (await server.send("DELETE", "/api/chats", userId)).json()).toEqual({ deleted: 2 });
  expect(await (await server.send("DELETE", "/api/chats", userId)).json()).toEqual({ deleted: 0 });
  expect(await (await server.get("/api/export", userId)).text()).toBe("");
  expect((await server.getChat(others.id, other)).messages).toHaveLength(2);
});

test("An id that is left out, or that a URL takes for a step up, deletes nothing", async ({ server }) => {
  const userId = newUser();
  const { id, path } = await askTwice(server, userId);
  const stored = await server.getChat(id, userId);
  const addresses = ["/api/chats/", "/api/chats/.", "/api/chats/%2e", "/api/chats//", `${path}/`];
  for (const address of [...addresses, `${path}/messages`, `${path}/messages/`, `${path}/messages/..`]) {
    await expectError(await server.send("DELETE", address, userId), 404);
  }
  expect(await server.getChat(id, userId)).toEqual(stored);
});

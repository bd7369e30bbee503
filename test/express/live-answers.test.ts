import { expect } from "vitest";
import { textOf } from "../support/conversations.ts";
import {
  asJson,
  ask,
  askAndHold,
  askAndLeave,
  type ChatOnPage,
  type ExampleServer,
  expectError,
  expectToShow,
  newUser,
  test,
} from "../support/express.ts";
import { answerTo } from "../support/model-server.ts";

const streamOf = (chat: ChatOnPage, query = "") => `/api/chat/${chat.id}/stream${query}`;

async function stopped(server: ExampleServer, path: string, userId: string): Promise<unknown> {
  const response = await server.send("DELETE", path, userId);
  expect(response.status).toBe(200);
  return response.json();
}

test("A client that joins shows the answer from its beginning to its end", async ({ server, model }) => {
  const userId = newUser();
  const chat = server.openChat(userId);
  const { firstWords, finish } = await askAndLeave(model, chat, "Where were we?");
  const joining = server.openChat(userId, await server.getChat(chat.id, userId));
  const joined = joining.resumeStream();
  await expectToShow(joining, firstWords);
  finish();
  await joined;
  expect(joining.messages.map(textOf)).toEqual(["Where were we?", answerTo(["Where were we?"])]);
  expect((await server.getChat(chat.id, userId)).messages).toEqual(asJson(joining.messages));
});

test("A client with an older version of the chat is sent an answer that has ended, and no other client is", async ({
  server,
}) => {
  const userId = newUser();
  const chat = server.openChat(userId);
  await ask(chat, "Over already?");
  const { version } = await server.getChat(chat.id, userId);
  const late = await server.get(streamOf(chat, `?version=${version - 1}`), userId);
  expect(late.headers.get("content-type")).toMatch(/^text\/event-stream/);
  expect(await late.text()).toContain("This is answer 1 of our chat.");
  for (const query of ["", `?version=${version}`]) {
    expect((await server.get(streamOf(chat, query), userId)).status, query).toBe(204);
  }
  expect((await server.get(streamOf(chat, `?version=${version - 1}`), newUser())).status).toBe(204);
  for (const query of ["?version=x", "?version=-1", "?version="]) {
    await expectError(await server.get(streamOf(chat, query), userId), 400);
  }
});

test("One client stops an answer for all, and the chat keeps the words until then", async ({ server, model }) => {
  const userId = newUser();
  const chat = server.openChat(userId);
  const { asked, aborted, firstWords, say } = await askAndHold(model, chat, "Shall I go on?");
  const joining = server.openChat(userId, await server.getChat(chat.id, userId));
  const joined = joining.resumeStream();
  const stop = (user: string, messageId = "") => stopped(server, streamOf(chat, `?message=${messageId}`), user);

  const stranger = newUser();
  expect((await server.get(streamOf(chat), stranger)).status).toBe(204);
  expect(await stop(stranger, chat.messages[0]?.id)).toEqual({ stopped: false });
  expect(await stop(userId, "another message")).toEqual({ stopped: false });
  // The server hears of a stop when it records the next words, and those that it records afterwards show that it has heard of none.
  let words = firstWords;
  for (const more of ["I do. ", "And on. "]) {
    say(more);
    words += more;
    await expectToShow(joining, words);
  }
  await expectToShow(chat, words);
  expect(chat.status).toBe("streaming");

  expect(await stop(userId, chat.messages[0]?.id)).toEqual({ stopped: true });
  await Promise.all([asked, joined, aborted]);
  expect(chat.messages.map(textOf)).toEqual(["Shall I go on?", words]);
  expect(joining.messages.map(textOf)).toEqual(["Shall I go on?", words]);
  expect((await server.getChat(chat.id, userId)).messages).toEqual(asJson(chat.messages));
  await ask(chat, "Do go on");
  expect((await server.getChat(chat.id, userId)).messages).toHaveLength(4);
});

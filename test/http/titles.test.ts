import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import type { ChatHandlerOptions } from "../../src/handler.ts";
import {
  chunksOf,
  createHandler,
  expectError,
  openTestStore,
  question,
  requestTo,
  textChunks,
} from "../support/chat-handler.ts";

const used = openTestStore();

/** A handler with this option, and a new chat. `settled`: what waitUntil got, when it has settled. */
function createChat(title: ChatHandlerOptions["title"], options: Partial<ChatHandlerOptions> = {}) {
  const id = randomUUID();
  const promises: Promise<unknown>[] = [];
  const { chat, errors } = createHandler(used.store, {
    ...(title !== undefined && { title }),
    waitUntil: (promise) => void promises.push(promise),
    ...options,
  });
  const send = async (method: string, path: string, body: object) => chat(requestTo(method, path, { body }));
  return {
    errors,
    settled: () => Promise.all(promises),
    ask: async (text = "Why?", more: object = {}) =>
      chunksOf(await send("POST", "/", { id, message: question(text), ...more })),
    tryToAsk: () => send("POST", "/", { id, message: question("Why?") }),
    rename: async (name: string) => expect((await send("PATCH", `/${id}`, { title: name })).status).toBe(200),
    title: async () => (await used.store.getChat({ userId: "u", chatId: id }))?.title,
  };
}

const smile = "😀";
test.each([
  ["Why?", "Why?"],
  ["  Why\n\n is\tit \u0085 so?  ", "Why is it so?"],
  ["x".repeat(80), "x".repeat(80)],
  ["x".repeat(81), `${"x".repeat(79)}…`],
  [`${"x".repeat(78)} yz`, `${"x".repeat(78)}…`],
  [smile.repeat(80), smile.repeat(80)],
  [smile.repeat(81), `${smile.repeat(79)}…`],
  ["a\0b\ud800c\udc00", "a b\ufffdc\ufffd"],
  [`${" ".repeat(5_000)}late`, ""],
  [" ", ""],
  ["<b>$1</b> '; --", "<b>$1</b> '; --"],
])("by default, the title is the question's text on one line, cut (%#)", async (text, expected) => {
  const chat = createChat(undefined);
  await chat.ask(text);
  expect(await chat.title()).toBe(expected);
  expect(chat.errors).toEqual([]);
});

test("the text parts of a question make one title, and a later question does not change it", async () => {
  const chat = createChat(undefined);
  await chat.ask("Why?", {
    message: { ...question("Why"), parts: [...question("Why").parts, ...question("so?").parts] },
  });
  await chat.ask("And now?", { message: question("And now?", "q2") });
  expect(await chat.title()).toBe("Why so?");
});

test("false means no title", async () => {
  const chat = createChat(false);
  await chat.ask();
  expect(await chat.title()).toBe("");
});

test("a function's title replaces the question's text, once, beside the answer", async () => {
  const calls: unknown[] = [];
  let name = (_title: string) => {};
  const chat = createChat((message, context) => {
    calls.push([message, context]);
    return new Promise((resolve) => {
      name = resolve;
    });
  });
  await chat.ask();
  expect(await chat.title()).toBe("Why?");
  name("  The\nmoon ");
  await chat.settled();
  expect(await chat.title()).toBe("The moon");
  await chat.ask("And now?", { message: question("And now?", "q2") });
  expect(calls).toEqual([[question("Why?"), { userId: "u" }]]);
  expect(chat.errors).toEqual([]);
});

test.each([
  ["x".repeat(2_000), `${"x".repeat(499)}…`],
  [smile.repeat(1_000), `${smile.repeat(499)}…`],
  ["", "Why?"],
  [" \0 ", "Why?"],
])("a function's title is cut, and an empty one keeps the question's text (%#)", async (given, expected) => {
  const chat = createChat(() => given);
  await chat.ask();
  await chat.settled();
  expect(await chat.title()).toBe(expected);
  expect(chat.errors).toEqual([]);
});

test("the user's name stays if the user renames the chat before the function ends", async () => {
  let name = (_title: string) => {};
  const chat = createChat(
    () =>
      new Promise((resolve) => {
        name = resolve;
      }),
  );
  await chat.ask();
  await chat.rename("Mine");
  name("The moon");
  await chat.settled();
  expect(await chat.title()).toBe("Mine");
});

test("the user's name stays if the first answer fails, the user renames the chat, and asks again", async () => {
  let isFailing = true;
  const answer = () => {
    if (isFailing) throw new Error("no model");
    return ReadableStream.from(textChunks("The moon."));
  };
  const chat = createChat(() => "The moon", { answer });
  await expectError(await chat.tryToAsk(), "failed");
  await chat.settled();
  expect(await chat.title()).toBe("The moon");
  await chat.rename("Mine");
  isFailing = false;
  await chat.ask("Why?", { trigger: "regenerate-message" });
  await chat.settled();
  expect(await chat.title()).toBe("Mine");
});

test.each([
  [
    "throws",
    () => {
      throw new Error("no model");
    },
  ],
  ["rejects", () => Promise.reject(new Error("no model"))],
  ["returns no string", () => 1 as never],
])("a function that %s keeps the question's text; the answer goes on, and onError gets the error", async (_, title) => {
  const chat = createChat(title);
  expect((await chat.ask()).at(-1)).toMatchObject({ type: "finish" });
  await chat.settled();
  expect(await chat.title()).toBe("Why?");
  expect(chat.errors).toEqual([{ error: expect.any(Error), method: "POST", route: "/" }]);
});

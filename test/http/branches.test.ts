import { randomUUID } from "node:crypto";
import type { UIMessage } from "ai";
import { describe, expect, test } from "vitest";
import type { PageInJson } from "../../src/client/dates.ts";
import {
  chunksOf,
  createHandler,
  expectError,
  openTestStore,
  question,
  requestTo,
  textChunks,
  wholeOf,
} from "../support/chat-handler.ts";
import { textOf } from "../support/conversations.ts";

const used = openTestStore({ branches: true });
const without = openTestStore();

/** A chat whose question "Why?" was answered with each of the texts. The last one is current. */
async function answered({ store }: typeof used, texts: string[], chatId: string = randomUUID()) {
  const userId = randomUUID();
  let count = 0;
  const answer = () => ReadableStream.from(textChunks(texts[count++] ?? ""));
  const { chat, errors } = createHandler(store, { answer });
  const send = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
    chat(requestTo(method, path, { userId, body, headers }));
  for (const [index] of texts.entries()) {
    const again = index > 0 && { trigger: "regenerate-message" };
    await chunksOf(await send("POST", "/", { id: chatId, message: question("Why?"), ...again }));
  }
  const path = `/${encodeURIComponent(chatId)}`;
  const page = async (query = "") => (await (await send("GET", `${path}${query}`)).json()) as Page;
  return { userId, chatId, chat, errors, send, path, page };
}

type Page = PageInJson<UIMessage, unknown>;
const branchIdOf = ({ branches }: Page) => branches[0]?.branches[0]?.id ?? expect.fail();
const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const other = (position: number) => ({ id: expect.any(String), position, createdAt: time, messageCount: 1 });

describe("The pages of a chat", () => {
  test("have the alternatives, of the whole conversation", async () => {
    const { page } = await answered(used, ["a", "b", "c"]);
    const branches = [{ afterMessageId: "q", position: 3, count: 3, branches: [other(1), other(2)] }];
    expect(await page()).toMatchObject({ messages: [{ id: "q" }, { role: "assistant" }], branches });
    expect((await page("?limit=1")).branches).toEqual(branches);
    const { messages } = await page();
    expect((await page(`?before=${messages[1]?.id}`)).branches).toEqual(branches);
  });

  test("have none if the store keeps none", async () => {
    const { page, send, path } = await answered(without, ["a", "b"]);
    expect(await page()).toMatchObject({ branches: [] });
    expect(await page("?limit=1")).toMatchObject({ branches: [] });
    await expectError(await send("POST", `${path}/branches/${randomUUID()}`), "not_found");
  });

  test.each([used, without])("of a new chat have none", async (opened) => {
    expect(await (await answered(opened, ["a"])).page()).toMatchObject({ branches: [] });
  });
});

describe("A switch to a branch", () => {
  test("makes it the end of the conversation, and responds with the chat, without its user", async () => {
    const { chatId, userId, send, path, page, errors } = await answered(used, ["a", "b"]);
    const before = await page();
    const response = await send("POST", `${path}/branches/${branchIdOf(before)}`);
    expect(response.headers.get("cache-control")).toBe("no-store");
    const { userId: _, ...chat } = { ...(await used.store.getChat({ userId, chatId })), messages: undefined };
    expect({ status: response.status, body: await response.json() }).toEqual({
      status: 200,
      body: JSON.parse(JSON.stringify(chat)),
    });
    expect(chat.version).toBe(before.chat.version + 1);
    const after = await page();
    expect(after.messages.map(textOf)).toEqual(["Why?", "a"]);
    expect(after.branches).toEqual([{ afterMessageId: "q", position: 1, count: 2, branches: [other(2)] }]);
    await send("POST", `${path}/branches/${branchIdOf(after)}`);
    const { chat: latest, ...back } = await page();
    expect(latest.version).toBe(before.chat.version + 2);
    expect(back).toEqual({
      messages: before.messages,
      sentAt: before.sentAt,
      hasMore: false,
      branches: [{ ...before.branches[0], branches: [other(1)] }],
    });
    expect(errors).toEqual([]);
  });

  test("needs no body, and reads none", async () => {
    const { send, path, page } = await answered(used, ["a", "b"]);
    const id = branchIdOf(await page());
    expect((await send("POST", `${path}/branches/${id}`, "{")).status).toBe(200);
    expect((await page()).messages.map(textOf)).toEqual(["Why?", "a"]);
  });

  test("to a branch that is current by now is 404, and changes nothing", async () => {
    const { send, path, page } = await answered(used, ["a", "b"]);
    const id = branchIdOf(await page());
    await send("POST", `${path}/branches/${id}`);
    const again = await used.expectUnchanged(() => send("POST", `${path}/branches/${id}`));
    expect(await expectError(again, "not_found")).toBe("There is no such chat or branch.");
  });

  test.each([
    "x",
    "null",
    "1",
    "00000000-0000-0000-0000-000000000000",
    "'; select 1 --",
    "/",
    "a/b",
    "%",
    "%2F",
    "?",
    "#",
    "ü",
    "😀",
    "...",
    "__proto__",
    "$1",
    "a\nb",
    "x".repeat(255),
  ])("to a branch with the id %j, which the chat does not have, is 404", async (id) => {
    const { send, path, errors } = await answered(used, ["a", "b"]);
    const response = await used.expectUnchanged(() => send("POST", `${path}/branches/${encodeURIComponent(id)}`));
    expect(await expectError(response, "not_found")).toBe("There is no such chat or branch.");
    expect(errors).toEqual([]);
  });

  test("works in a chat with the id %2F/?# ü😀", async () => {
    const { send, path, page } = await answered(used, ["a", "b"], "%2F/?# ü😀");
    const id = branchIdOf(await page());
    expect((await send("POST", `${path}/branches/${id.toUpperCase()}`)).status).toBe(200);
    expect((await page()).messages.map(textOf)).toEqual(["Why?", "a"]);
  });

  test("by a stranger, or into another chat of the user, is what a missing chat gives, byte for byte", async () => {
    const { userId, chat, path, page } = await answered(used, ["a", "b"]);
    const id = branchIdOf(await page());
    const own = randomUUID();
    await used.store.upsertChat({ userId, chatId: own, messages: [] });
    const missing = await chat(requestTo("POST", `/${randomUUID()}/branches/${id}`, { userId: "stranger" }));
    const expected = await wholeOf(missing);
    expect(expected.status).toBe(404);
    await used.expectUnchanged(async () => {
      const foreign = await chat(requestTo("POST", `${path}/branches/${id}`, { userId: "stranger" }));
      expect(await wholeOf(foreign)).toEqual(expected);
      expect(await wholeOf(await chat(requestTo("POST", `/${own}/branches/${id}`, { userId })))).toEqual(expected);
    });
  });

  test.each<[string, object]>([
    ["of another site", { "sec-fetch-site": "cross-site", origin: "https://evil.example" }],
    ["of a form of another site", { origin: "https://evil.example", "content-type": "text/plain" }],
  ])("by a page %s is refused", async (_, headers) => {
    const { send, path, page } = await answered(used, ["a", "b"]);
    const id = branchIdOf(await page());
    await used.expectUnchanged(async () => {
      await expectError(await send("POST", `${path}/branches/${id}`, undefined, headers as never), "forbidden");
    });
  });

  test("while an answer is generated takes its question away, and nothing of the answer is stored", async () => {
    const words = new TransformStream<never, never>();
    const { send, path, page, userId, chatId } = await answered(used, ["a"]);
    await chunksOf(
      await send("POST", "/", {
        id: chatId,
        message: question("How?"),
        trigger: "submit-message",
        messageId: "q",
      }),
    );
    const { chat } = createHandler(used.store, { answer: () => words.readable });
    const body = { id: chatId, message: question("And?", "q2") };
    const asked = await chat(requestTo("POST", "/", { userId, body }));
    const id = branchIdOf(await page());
    expect((await send("POST", `${path}/branches/${id}`)).status).toBe(200);
    await words.writable.close();
    // It breaks off where the answer would be stored.
    await asked.text().catch(() => {});
    expect((await page()).messages.map(textOf)).toEqual(["Why?", "a"]);
  });
});

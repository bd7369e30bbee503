import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { UIMessage } from "ai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { createChatStore } from "../../src/index.ts";
import { say, textOf } from "../support/conversations.ts";
import { nodePostgres } from "../support/databases.ts";
import { liveChats } from "../support/live-chat.ts";
import { sdks } from "../support/sdks.ts";

describe.concurrent.each(sdks)("Errors that a page gets with $name", (sdk) => {
  const open = liveChats(sdk);

  const busy = Object.assign(new Error("down"), { code: "ECONNREFUSED" });
  const refusals: {
    code: string;
    status: number;
    retryAfter?: number;
    options: Parameters<typeof open>[0];
    text?: string;
  }[] = [
    { code: "bad_request", status: 400, options: {}, text: "" },
    { code: "unauthorized", status: 401, options: { userId: () => null } },
    { code: "not_found", status: 404, options: { userId: () => "a stranger" } },
    { code: "too_large", status: 413, options: { maxBodyBytes: 500 }, text: "x".repeat(1_000) },
    {
      code: "too_many_requests",
      status: 429,
      retryAfter: 7,
      options: { userId: () => new Response("Slow down.", { status: 429, headers: { "retry-after": "7" } }) },
    },
    {
      code: "failed",
      status: 500,
      options: {
        answer: () => {
          throw busy;
        },
      },
    },
  ];

  test.each(refusals)("a question that is refused with $status", async ({ options, text = "Hello", ...error }) => {
    const chat = await open(options);
    await chat.store.upsertChat({ userId: chat.userId, chatId: chat.chatId, messages: [] });
    const heard: unknown[] = [];
    const page = await chat.openTab({ isNew: true, onError: (error) => void heard.push(error) });
    await page.sendMessage({ text });
    expect(page.status).toBe("error");
    expect(heard).toEqual([page.error]);
    expect(page.error).toBeInstanceOf(chat.ChatRequestError);
    expect(page.error).toMatchObject({ retryAfter: null, ...error, name: "ChatRequestError" });
    // It is the server's refusal, and no lost connection.
    expect(page.heard).toEqual(["finish isError"]);
    expect((await chat.stored()).length).toBe(error.code === "failed" ? 1 : 0);
    expect(chat.faults).toEqual(error.code === "failed" ? [busy] : []);
  });

  test("the output of a tool call that another tab has answered, a conflict", async () => {
    const call = { type: "tool-whereAmI", toolCallId: "t1", state: "input-available", input: {} };
    const answer = { id: "a1", role: "assistant", parts: [call] } as unknown as UIMessage;
    const chat = await open({
      messages: [say("user", "Where am I?", "q1"), answer],
      tools: { whereAmI: { inputSchema: z.object({}) } },
    });
    const [first, second] = [await chat.openTab(), await chat.openTab()];
    for (const tab of [first, second])
      await tab.addToolOutput({ tool: "whereAmI", toolCallId: "t1", output: "Hamburg" });
    const asked = first.sendMessage();
    const voice = await chat.voice();
    await second.sendMessage();
    expect(second.error).toBeInstanceOf(chat.ChatRequestError);
    expect(second.error).toMatchObject({ code: "conflict", status: 409, message: expect.stringContaining("Load") });
    voice.finish();
    await asked;
    await chat.expectShown(first);
  });

  test("a database that cannot be reached", async () => {
    const unreachable = nodePostgres("postgres://u@127.0.0.1:1/none");
    const chat = await open({ store: createChatStore(unreachable.db) });
    const page = await chat.openTab({ isNew: true });
    await page.sendMessage({ text: "Hello" });
    expect(page.error).toBeInstanceOf(chat.ChatRequestError);
    expect(page.error).toMatchObject({ code: "unavailable", status: 503, retryAfter: 2 });
    expect(page.heard).toEqual(["finish isError"]);
    await unreachable.end();
  });

  test("an error of the provider, in the middle of an answer and before it", async () => {
    const chat = await open();
    const page = await chat.openTab({ isNew: true });
    const asked = page.sendMessage({ text: "Why?" });
    const voice = await chat.voice();
    voice.say("The moon ");
    await page.shows("The moon ");
    voice.fail();
    await asked;
    expect(page.status).toBe("error");
    expect(page.error?.message).toBe("An error occurred.");
    page.clearError();
    expect(textOf((await chat.expectShown(page)).at(-1))).toBe("The moon ");
    const again = page.regenerate();
    (await chat.voice(2)).fail();
    await again;
    expect(page.status).toBe("error");
    // The answer is kept that was to be replaced: a page that loads shows it.
    expect(textOf((await chat.stored()).at(-1))).toBe("The moon ");
  });
});

/** What another server responds with that stands where the handler is expected. */
const others: Record<string, { status: number; headers?: Record<string, string>; body?: string }> = {
  "/login": { status: 200, headers: { "content-type": "text/html" }, body: "<h1>Sign in</h1>" },
  "/empty": { status: 200 },
  "/missing": { status: 404, headers: { "content-type": "text/html" }, body: "<h1>Not found</h1>" },
  "/missing-json": { status: 404, headers: { "content-type": "application/json" }, body: '{"error":"Not found"}' },
  "/moved": { status: 404, headers: { "content-type": "application/json" }, body: '{"error":{"message":"Moved."}}' },
  "/broken": { status: 502, body: "Bad gateway" },
  "/busy": { status: 503, headers: { "retry-after": new Date(Date.now() + 3_600_000).toUTCString() } },
  "/limited": { status: 429, headers: { "retry-after": "soon" }, body: "[]" },
  "/teapot": { status: 418, body: "null" },
};

describe.each(sdks)("Responses of another server with $name", (sdk) => {
  const open = liveChats(sdk);
  let url = "";
  const server = createServer((request, response) => {
    const { status = 500, headers, body } = others[`/${request.url?.split("/")[1]?.split("?")[0]}`] ?? {};
    response.writeHead(status, headers).end(body);
  });
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => new Promise((resolve) => server.close(resolve).closeAllConnections()));

  const expected: Record<keyof typeof others, object> = {
    "/login": { code: "failed", status: 200 },
    "/empty": { code: "failed", status: 200 },
    "/missing": { code: "failed", status: 404 },
    "/missing-json": { code: "failed", status: 404 },
    "/moved": { code: "failed", status: 404, message: "Moved." },
    "/broken": { code: "failed", status: 502 },
    "/busy": { code: "unavailable", status: 503, retryAfter: expect.closeTo(3_600, -3) },
    "/limited": { code: "too_many_requests", status: 429, retryAfter: null },
    "/teapot": { code: "failed", status: 418 },
  };

  test.each(Object.entries(expected))("%s is an error for the page and for every method", async (path, error) => {
    const chat = await open();
    const client = chat.createClient({ basePath: url + path });
    const page = await chat.openTab({ isNew: true, client });
    await page.sendMessage({ text: "Hello" });
    expect(page.error).toBeInstanceOf(chat.ChatRequestError);
    expect(page.error).toMatchObject(error);
    expect(page.messages).toHaveLength(1);
    await page.resumeStream();
    expect(page.status).toBe("error");
    expect(page.error).toMatchObject(error);
    const calls = [
      client.list(),
      client.search("a"),
      client.get("a"),
      client.update("a", { title: "A" }),
      client.delete("a"),
      client.deleteMessage("a", "b"),
      client.switchBranch("a", "b"),
      client.fork("a"),
      client.stop("a"),
    ];
    for (const outcome of await Promise.allSettled(calls)) {
      expect(outcome).toMatchObject({ status: "rejected", reason: error });
      expect((outcome as PromiseRejectedResult).reason).toBeInstanceOf(chat.ChatRequestError);
    }
  });
});

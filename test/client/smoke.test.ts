import { randomUUID } from "node:crypto";
import * as ai from "ai";
import * as aiTest from "ai/test";
import * as ai5 from "ai5";
import * as ai5Test from "ai5/test";
import * as ai6 from "ai6";
import * as ai6Test from "ai6/test";
import { expect, onTestFinished, test } from "vitest";
import { createChatClient } from "../../src/client.ts";
import { createChatHandler } from "../../src/handler.ts";
import { createChatStore } from "../../src/index.ts";
import { PlainState, serve } from "../support/chat-server.ts";
import { nodePostgres, openWith } from "../support/databases.ts";

const usage = { inputTokens: { total: 1 }, outputTokens: { total: 1 } };
const sdks = [
  {
    sdk: ai5 as any,
    model: (o: any) => new ai5Test.MockLanguageModelV2(o),
    finish: { type: "finish", finishReason: "stop", usage: { inputTokens: 1, outputTokens: 1, totalTokens: 2 } },
  },
  {
    sdk: ai6 as any,
    model: (o: any) => new ai6Test.MockLanguageModelV3(o),
    finish: { type: "finish", finishReason: { unified: "stop" }, usage },
  },
  {
    sdk: ai as any,
    model: (o: any) => new aiTest.MockLanguageModelV4(o),
    finish: { type: "finish", finishReason: { unified: "stop", raw: "stop" }, usage },
  },
];

test.each(sdks)("smoke $#", async ({ sdk, model, finish }) => {
  const database = await openWith(nodePostgres);
  onTestFinished(() => database.close());
  const store = createChatStore(database.db);
  const errors: unknown[] = [];
  const chat = createChatHandler({
    store,
    userId: (request) => request.headers.get("x-user-id"),
    onError: (error, where) => void errors.push([where, error]),
    answer: ({ modelMessages, abortSignal }) =>
      sdk.streamText({
        model: model({
          doStream: async () => ({
            stream: sdk.simulateReadableStream({
              chunkDelayInMs: 30,
              chunks: [
                { type: "stream-start", warnings: [] },
                { type: "text-start", id: "1" },
                ..."one two three four five six seven eight nine ten"
                  .split(" ")
                  .map((delta) => ({ type: "text-delta", id: "1", delta: `${delta} ` })),
                { type: "text-end", id: "1" },
                finish,
              ],
            }),
          }),
        }),
        messages: modelMessages,
        abortSignal,
      }),
  });
  const server = await serve(chat);
  onTestFinished(async () => void (await server.close()));
  const client = createChatClient({ basePath: `${server.url}api/chat`, headers: { "x-user-id": "u" } });
  const id = randomUUID();
  const tab = new (class extends sdk.AbstractChat {
    constructor(init: any) {
      super(init);
    }
  })({ id, transport: client.transport(), state: new PlainState(), onError: (e: any) => console.log(e) }) as any;
  await tab.sendMessage({ text: "Hello" });
  expect(tab.status).toBe("ready");
  const page = await client.get(id);
  expect(page?.messages).toEqual(JSON.parse(JSON.stringify(tab.messages)));
  expect(page?.chat.title).toBe("Hello");
  expect((await client.list()).chats).toEqual([page?.chat]);
  for (const delay of [0, 20, 200]) {
    const asked = tab.sendMessage({ text: "More" });
    await new Promise((resolve) => setTimeout(resolve, delay));
    expect(await client.stop(id)).toBe(true);
    await asked;
    expect(tab.status).toBe("ready");
    expect((await client.get(id))?.messages).toEqual(JSON.parse(JSON.stringify(tab.messages)));
  }
  const before = tab.messages;
  await tab.resumeStream();
  expect(tab.messages).toBe(before);
  expect(errors).toEqual([]);
});

import { randomUUID } from "node:crypto";
import {
  convertToModelMessages,
  createUIMessageStreamResponse,
  simulateReadableStream,
  streamText,
  toUIMessageStream,
  type UIMessage,
} from "ai";
import { MockLanguageModelV4 } from "ai/test";
import { expect, onTestFinished, test } from "vitest";
import { createChatHandler } from "../../src/handler.ts";
import { createChatStore } from "../../src/index.ts";
import { serve } from "../support/chat-server.ts";
import { say } from "../support/conversations.ts";
import { nodePostgres, openWith } from "../support/databases.ts";
import { createLatencies } from "../support/latencies.ts";
import { isLong } from "../support/long-run.ts";

const clients = 16;
const turnsOfClient = Number(process.env.LOAD_TURNS ?? (isLong ? 40 : 6));

const usage = {
  inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 1, text: 1, reasoning: 0 },
};
const model = new MockLanguageModelV4({
  doStream: async () => ({
    stream: simulateReadableStream({
      initialDelayInMs: null,
      chunkDelayInMs: null,
      chunks: [
        { type: "text-start", id: "1" },
        ...Array.from({ length: 100 }, () => ({ type: "text-delta" as const, id: "1", delta: "word " })),
        { type: "text-end", id: "1" },
        { type: "finish", finishReason: { unified: "stop", raw: "stop" }, usage },
      ],
    }),
  }),
});

test("the handler is as fast as routes written by hand, under 16 clients that use both in turn", async () => {
  const database = await openWith(nodePostgres);
  onTestFinished(() => database.close());
  const store = createChatStore(database.db);
  const handler = await serve(
    createChatHandler({
      store,
      userId: (request) => request.headers.get("x-user-id"),
      answer: ({ modelMessages, abortSignal }) => streamText({ model, messages: modelMessages, abortSignal }),
    }),
  );
  const byHand = await serve(async (request) => {
    const userId = request.headers.get("x-user-id") ?? "";
    const chatId = new URL(request.url).pathname.split("/")[3];
    if (chatId) return Response.json(await store.getMessages({ userId, chatId, limit: 30 }));
    const { id, message } = (await request.json()) as { id: string; message: UIMessage };
    const turn = await store.startTurn({ userId, chatId: id, message });
    const messages = await convertToModelMessages(turn.messages, { ignoreIncompleteToolCalls: true });
    const result = streamText({ model, messages, abortSignal: turn.abortSignal });
    return createUIMessageStreamResponse({
      stream: toUIMessageStream({ stream: result.stream, ...turn.persist }),
      consumeSseStream: turn.consumeSseStream,
    });
  });
  onTestFinished(async () => void (await Promise.all([handler.close(), byHand.close()])));

  const servers = [
    { name: "the handler", url: `${handler.url}api/chat` },
    { name: "by hand", url: `${byHand.url}api/chat` },
  ];
  const latencies = createLatencies();
  await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      const headers = { "x-user-id": `user ${client}`, "content-type": "application/json" };
      const ids = { "the handler": randomUUID(), "by hand": randomUUID() } as Record<string, string>;
      for (let turn = 0; turn < turnsOfClient; turn++) {
        // Who comes first changes: the second may find something warm.
        for (const { name, url } of turn % 2 ? servers : servers.toReversed()) {
          const body = JSON.stringify({ id: ids[name], message: say("user", "Why do tides turn?", randomUUID()) });
          await latencies.measure(`a turn, ${name}`, `${client}`, async () => {
            const response = await fetch(url, { method: "POST", headers, body });
            expect(response.status).toBe(200);
            expect(await response.text()).toContain("[DONE]");
          });
          await latencies.measure(`a page of messages, ${name}`, `${client}`, async () => {
            const response = await fetch(`${url}/${ids[name]}`, { headers });
            const page = (await response.json()) as { messages: unknown[] };
            expect(page.messages.length).toBe(Math.min(30, 2 * (turn + 1)));
          });
        }
      }
    }),
  );

  const rows = new Map(latencies.summary().map((row) => [row.kind, row]));
  const ratios = ["a turn", "a page of messages"].map((kind) => {
    const [ours, theirs] = [rows.get(`${kind}, the handler`), rows.get(`${kind}, by hand`)];
    if (!ours || !theirs) expect.fail();
    expect(ours.count).toBe(clients * turnsOfClient);
    return { kind, p50: ours.p50 / theirs.p50, p99: ours.p99 / theirs.p99 };
  });
  console.table([...rows.values()]);
  console.table(ratios);
  if (isLong) for (const { p50 } of ratios) expect(p50).toBeLessThan(1.25);
});

import { randomUUID } from "node:crypto";
import * as ai5 from "ai5";
import * as ai5Test from "ai5/test";
import * as ai6 from "ai6";
import * as ai6Test from "ai6/test";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createChatStore } from "../../src/index.ts";
import { type Handler, serve } from "../support/chat-server.ts";
import { databases, type TestDatabase } from "../support/databases.ts";

const [database] = databases as [(typeof databases)[number]];

/** A model that says each of the texts in turn; an Error is thrown instead. */
const says = <Model>(
  MockLanguageModel: new (options: never) => Model,
  usage: object,
  finishReason: unknown,
  texts: (string | Error)[],
): Model => {
  const doStream = async () => {
    const text = texts.shift() ?? new Error("nothing left to say");
    if (text instanceof Error) throw text;
    const chunks = [
      { type: "text-start", id: "1" },
      { type: "text-delta", id: "1", delta: text },
      { type: "text-end", id: "1" },
      { type: "finish", finishReason, usage },
    ];
    return { stream: ReadableStream.from(chunks) };
  };
  return new MockLanguageModel({ doStream } as never);
};

describe("A turn with an older SDK", () => {
  let opened: TestDatabase;
  beforeAll(async () => {
    opened = await database.open();
  });
  afterAll(() => opened.close());

  // The handlers are written out for each version: that they type-check without a cast is part of the test.
  const texts: (string | Error)[] = [];
  let limit: number | undefined;
  const withAi5: Handler = async (request) => {
    const { id, ...sent } = (await request.json()) as { id: string; message: ai5.UIMessage };
    const turn = await createChatStore<ai5.UIMessage>(opened.db).startTurn({ userId: "u", chatId: id, limit, ...sent });
    const usage = { inputTokens: 1, outputTokens: 1, totalTokens: 2 };
    const result = ai5.streamText({
      model: says(ai5Test.MockLanguageModelV2, usage, "stop", texts),
      messages: ai5.convertToModelMessages(turn.messages, { ignoreIncompleteToolCalls: true }),
      maxRetries: 0,
      onError: () => {},
    });
    return result.toUIMessageStreamResponse({ ...turn.persist, consumeSseStream: ai5.consumeStream });
  };
  const withAi6: Handler = async (request) => {
    const { id, ...sent } = (await request.json()) as { id: string; message: ai6.UIMessage };
    const turn = await createChatStore<ai6.UIMessage>(opened.db).startTurn({ userId: "u", chatId: id, limit, ...sent });
    const usage = { inputTokens: { total: 1 }, outputTokens: { total: 1 } };
    const result = ai6.streamText({
      model: says(ai6Test.MockLanguageModelV3, usage, { unified: "stop" }, texts),
      messages: await ai6.convertToModelMessages(turn.messages, { ignoreIncompleteToolCalls: true }),
      maxRetries: 0,
      onError: () => {},
    });
    return result.toUIMessageStreamResponse({ ...turn.persist, consumeSseStream: ai6.consumeStream });
  };

  const sdks = [
    { name: "ai 5", handler: withAi5, ai: ai5 },
    // As far as this test calls them, the clients of both are alike.
    { name: "ai 6", handler: withAi6, ai: ai6 as unknown as typeof ai5 },
  ];
  test.each(sdks.flatMap((sdk) => [undefined, 2, 10].map((window) => ({ ...sdk, window }))))(
    "the store holds the messages that $name's client shows after a question, a failure, a regeneration and an edit (limit $window)",
    async ({ handler, ai, window }) => {
      limit = window;
      const server = await serve(handler);
      const id = randomUUID();
      const state = { status: "ready" as const, error: undefined, messages: [] as ai5.UIMessage[] };
      const chat = new (class extends ai.AbstractChat<ai5.UIMessage> {})({
        id,
        onError: () => {},
        transport: new ai.DefaultChatTransport({
          api: server.url,
          prepareSendMessagesRequest: ({ id, messages, trigger, messageId }) => ({
            body: { id, message: messages.at(-1), trigger, messageId },
          }),
        }),
        state: {
          ...state,
          pushMessage(message) {
            this.messages = [...this.messages, message];
          },
          popMessage() {
            this.messages = this.messages.slice(0, -1);
          },
          replaceMessage(index, message) {
            this.messages = this.messages.with(index, message);
          },
          snapshot: structuredClone,
        },
      });
      const expectStoredAsShown = async (said: string[], version: number) => {
        await server.idle();
        const saved = await createChatStore(opened.db).getChat({ userId: "u", chatId: id });
        // An answer in which nothing was said is shown until the next one, and not stored.
        const shown = chat.messages.filter(({ role, parts }) => role === "user" || parts.length > 0);
        expect(saved).toMatchObject({ version, messages: JSON.parse(JSON.stringify(shown)) });
        expect(
          saved?.messages.map(({ parts }) => parts.map((part) => (part.type === "text" ? part.text : "")).join("")),
        ).toEqual(said);
      };

      try {
        texts.push("Hello.");
        await chat.sendMessage({ text: "Hi" });
        await expectStoredAsShown(["Hi", "Hello."], 2);

        texts.push(new Error("overloaded"));
        await chat.sendMessage({ text: "And?" });
        await expectStoredAsShown(["Hi", "Hello.", "And?"], 3);

        texts.push("Well.");
        await chat.regenerate();
        await expectStoredAsShown(["Hi", "Hello.", "And?", "Well."], 4);

        texts.push("Anew.");
        await chat.sendMessage({ text: "Ho", messageId: chat.messages[0]?.id ?? "" });
        await expectStoredAsShown(["Ho", "Anew."], 6);
      } finally {
        await server.close();
      }
    },
  );

  test.each([
    ["ai 5", withAi5],
    ["ai 6", withAi6],
  ])("a model of %s answers the next question when the turn of two approvals has died", async (_, handler) => {
    const server = await serve(handler);
    const ids = { userId: "u", chatId: randomUUID() };
    const store = createChatStore<ai6.UIMessage>(opened.db);
    const call = (toolCallId: string, approval: object) => ({
      type: "tool-remove",
      toolCallId,
      input: { file: toolCallId },
      ...approval,
    });
    const asked: ai6.UIMessage = {
      id: "asked",
      role: "assistant",
      parts: [
        call("a", { state: "approval-requested", approval: { id: "1" } }),
        call("b", { state: "approval-requested", approval: { id: "2" } }),
      ] as ai6.UIMessage["parts"],
    };
    const given = [
      call("a", { state: "approval-responded", approval: { id: "1", approved: true } }),
      call("b", { state: "approval-responded", approval: { id: "2", approved: false } }),
    ] as ai6.UIMessage["parts"];
    const question: ai6.UIMessage = { id: "q1", role: "user", parts: [{ type: "text", text: "Remove both" }] };
    await store.upsertChat({ ...ids, messages: [question, asked] });
    await store.startTurn({ ...ids, message: { ...asked, parts: given } });
    const died = "update chat_store.turns set started_at = now() - interval '6 minutes' where chat_id = $1";
    await opened.query(died, [ids.chatId]);

    try {
      texts.push("Here I am.");
      const message = { id: "q2", role: "user", parts: [{ type: "text", text: "Are you there?" }] };
      const response = await fetch(server.url, { method: "POST", body: JSON.stringify({ id: ids.chatId, message }) });
      expect(await response.text()).toContain("Here I am.");
      await server.idle();
      const messages = (await store.getChat(ids))?.messages;
      expect(messages?.map(({ id }) => id).slice(0, 3)).toEqual(["q1", "asked", "q2"]);
      expect(messages?.[1]?.parts).toMatchObject([{ state: "output-error" }, { state: "output-denied" }]);
      expect(messages?.[3]?.parts).toContainEqual(expect.objectContaining({ text: "Here I am." }));
    } finally {
      await server.close();
    }
  });
});

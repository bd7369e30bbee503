import type { UIMessage } from "ai";
import { describe, expect, test } from "vitest";
import type { ChatAnswerContext, ChatHandlerOptions } from "../../src/handler.ts";
import { chunksOf, question, requestTo, textChunks, textIn } from "../support/chat-handler.ts";
import { say } from "../support/conversations.ts";
import { type Sdk, sdks } from "../support/scripted-sdks.ts";
import { quietly, useSdk } from "../support/sdk-handler.ts";

type Answer = (sdk: Sdk, context: ChatAnswerContext) => ReturnType<ChatHandlerOptions["answer"]>;

const streamText = ({ ai, model }: Sdk, { modelMessages, abortSignal }: ChatAnswerContext) =>
  ai.streamText({ ...quietly, model: model(["The moon."]), messages: modelMessages, abortSignal });

const moon = { type: "text", text: "The moon." };
const answers: Record<string, { answer: Answer; parts: object[]; metadata?: object; on?: string[] }> = {
  "the result of streamText": { answer: streamText, parts: [moon] },
  "a promise of the result of streamText": { answer: async (...given) => streamText(...given), parts: [moon] },
  "the result of an agent": {
    answer: async ({ ai, model }, { modelMessages }) => {
      const Agent = ai.ToolLoopAgent ?? ai.Experimental_Agent;
      return await new Agent({ model: model(["The moon."]), maxRetries: 0 }).stream({ messages: modelMessages });
    },
    parts: [moon],
  },
  "the stream of a result with metadata": {
    answer: (sdk, context) =>
      streamText(sdk, context).toUIMessageStream({
        generateMessageId: () => "its own",
        messageMetadata: ({ part }: { part: { type: string } }) =>
          part.type === "start" ? { model: "m" } : part.type === "finish" ? { tokens: 2 } : undefined,
      }) as never,
    parts: [moon],
    metadata: { model: "m", tokens: 2 },
  },
  "createUIMessageStream with data and metadata around": {
    answer: (sdk, context) =>
      sdk.ai.createUIMessageStream({
        execute: async ({ writer }) => {
          writer.write({ type: "data-sources", id: "s", data: { found: 0 } });
          writer.write({ type: "data-sources", id: "s", data: { found: 3 } });
          writer.write({ type: "data-passing", data: 1, transient: true });
          writer.merge(
            streamText(sdk, context).toUIMessageStream({ messageMetadata: () => ({ model: "m" }) }) as never,
          );
          await streamText(sdk, context).text;
          writer.write({ type: "message-metadata", messageMetadata: { took: 5 } });
        },
      }),
    parts: [{ type: "data-sources", id: "s", data: { found: 3 } }, moon],
    metadata: { model: "m", took: 5 },
  },
  "handmade chunks with an id of their own": {
    answer: () => ReadableStream.from(textChunks("The moon.", { messageId: "its own", messageMetadata: { a: 1 } })),
    parts: [moon],
    metadata: { a: 1 },
  },
  "handmade chunks without a start": {
    answer: () => ReadableStream.from(textChunks("The moon.").slice(1)),
    parts: [moon],
  },
  "handmade chunks with two starts": {
    answer: () =>
      ReadableStream.from([
        { type: "start", messageId: "1", messageMetadata: { a: 1 } } as never,
        ...textChunks("The moon.", { messageId: "2", messageMetadata: { b: 2 } }),
      ]),
    parts: [moon],
    metadata: { a: 1, b: 2 },
  },
  "an object with the stream of a result": {
    answer: (sdk, context) => ({ stream: streamText(sdk, context).stream }),
    parts: [moon],
    on: ["ai 7"],
  },
};

describe.each(sdks)("An answer on $name", (sdk) => {
  const used = useSdk(sdk);
  const kinds = Object.entries(answers).filter(([, { on }]) => !on || on.includes(sdk.name));

  test.each(kinds)("that is %s is stored as the page shows it, with the id of the turn", async (_, kind) => {
    const { ask, stored, errors, send, chatId } = used.createChat((context) => kind.answer(sdk, context));
    const shown = await used.shownOf(await ask());
    const [asked, answer, ...others] = await stored();
    expect(asked).toEqual(question("Why?"));
    expect(others).toEqual([]);
    expect(answer).toEqual(JSON.parse(JSON.stringify(shown)));
    expect(answer?.id).not.toBe("its own");
    expect(answer?.parts.filter(({ type }) => type !== "step-start")).toMatchObject(kind.parts);
    expect(answer?.metadata).toEqual(kind.metadata);
    expect((await send("GET", `/${chatId}/stream?version=2`)).status).toBe(204);

    // Once more, in place of the first answer.
    const again = await used.shownOf(
      await ask(question("Why?"), { trigger: "regenerate-message", messageId: answer?.id }),
    );
    expect(again?.id).not.toBe(answer?.id);
    expect(await stored()).toEqual([asked, JSON.parse(JSON.stringify(again))]);
    expect(errors).toEqual([]);
  });

  test("is asked for with the messages for the model, the chat, the user, the request and the turn", async () => {
    const contexts: ChatAnswerContext[] = [];
    const prompts: unknown[] = [];
    const { ask, chatId, errors } = used.createChat((context) => {
      contexts.push(context);
      return sdk.ai.streamText({ ...quietly, model: sdk.model(["So."], prompts), messages: context.modelMessages });
    });
    await chunksOf(await ask());
    await chunksOf(await ask(question("And?", "q2")));
    expect(contexts[1]).toMatchObject({
      userId: "u",
      chat: { id: chatId, userId: "u", title: "Why?", version: 3 },
      messages: [question("Why?"), { role: "assistant" }, question("And?", "q2")],
      request: { method: "POST" },
      body: undefined,
    });
    expect(contexts[1]?.turn.abortSignal).toBe(contexts[1]?.abortSignal);
    expect(prompts).toMatchObject([
      [{ role: "user", content: [{ text: "Why?" }] }],
      [
        { role: "user" },
        { role: "assistant", content: [{ text: "So." }] },
        { role: "user", content: [{ text: "And?" }] },
      ],
    ]);
    expect(errors).toEqual([]);
  });

  test("gets at most so many messages as the option limit says", async () => {
    const seen: UIMessage[][] = [];
    const answer = ({ messages }: ChatAnswerContext) => {
      seen.push(messages);
      return ReadableStream.from(textChunks("So."));
    };
    const { ask, stored, chatId } = used.createChat(answer, { limit: 3 });
    const messages = [say("user", "1"), say("assistant", "2"), say("user", "3"), say("assistant", "4")];
    await used.store.upsertChat({ userId: "u", chatId, messages });
    await chunksOf(await ask(question("5")));
    expect(seen).toEqual([[...messages.slice(2), question("5")]]);
    expect(await stored()).toHaveLength(6);
  });

  test("streams while it is generated, and again for a page that comes later", async () => {
    const words = new TransformStream();
    const { ask, send, chatId, stored, errors } = used.createChat(({ modelMessages, abortSignal }) =>
      sdk.ai.streamText({ ...quietly, model: sdk.model([words.readable]), messages: modelMessages, abortSignal }),
    );
    const asked = await ask();
    const live = await send("GET", `/${chatId}/stream`);
    expect(live.status).toBe(200);
    const writer = words.writable.getWriter();
    for (const part of [
      { type: "stream-start", warnings: [] },
      { type: "text-start", id: "1" },
    ])
      await writer.write(part);
    await writer.write({ type: "text-delta", id: "1", delta: "The moon." });
    await writer.write({ type: "text-end", id: "1" });
    await writer.write(sdk.finish("stop"));
    await writer.close();
    const [one, other] = await Promise.all([chunksOf(asked), chunksOf(live)]);
    expect(textIn(one)).toBe("The moon.");
    expect(other).toEqual(one);
    expect((await stored()).at(-1)?.id).toBe(one[0]?.messageId);
    expect(errors).toEqual([]);
  });

  test("stops when the user stops it: what is shown is stored", async () => {
    const words = new TransformStream();
    const aborted: unknown[] = [];
    const { ask, send, chatId, stored, errors } = used.createChat(({ modelMessages, abortSignal }) => {
      abortSignal.addEventListener("abort", () => aborted.push(abortSignal.reason));
      return sdk.ai.streamText({
        ...quietly,
        model: sdk.model([words.readable]),
        messages: modelMessages,
        abortSignal,
      });
    });
    const asked = await ask();
    const writer = words.writable.getWriter();
    for (const part of [
      { type: "stream-start", warnings: [] },
      { type: "text-start", id: "1" },
    ])
      await writer.write(part);
    await writer.write({ type: "text-delta", id: "1", delta: "The" });
    expect(await (await send("DELETE", `/${chatId}/stream?message=q`)).json()).toEqual({ stopped: true });
    const shown = await used.shownOf(asked);
    expect(aborted).toHaveLength(1);
    const [, answer] = await stored();
    if (answer) expect(answer.parts).toEqual(JSON.parse(JSON.stringify(shown?.parts)));
    else expect(shown?.parts.filter(({ type }) => type === "text")).toEqual([]);
    expect((await send("GET", `/${chatId}/stream`)).status).toBe(204);
    expect(errors).toEqual([]);
  });

  test("the request's abort does not stop it", async () => {
    const leaving = new AbortController();
    const { chat, chatId, stored } = used.createChat((context) => {
      leaving.abort();
      return streamText(sdk, context);
    });
    const request = new Request(requestTo("POST", "/", { body: { id: chatId, message: question("Why?") } }), {
      signal: leaving.signal,
    });
    expect(textIn(await chunksOf(await chat(request)))).toBe("The moon.");
    expect(await stored()).toHaveLength(2);
  });
});

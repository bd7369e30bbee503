import { describe, expect, test, vi } from "vitest";
import type { ChatHandlerOptions } from "../../src/handler.ts";
import { chunksOf, expectError, question, requestTo, textChunks, textIn } from "../support/chat-handler.ts";
import { serve } from "../support/chat-server.ts";
import { eventually } from "../support/eventually.ts";
import { type Sdk, sdks } from "../support/scripted-sdks.ts";
import { controlledChunks, quietly, readUntil, useSdk } from "../support/sdk-handler.ts";

const thrown = new Error("the key sk-secret is wrong");
const conflict = Object.assign(new Error("not one of this store's"), { code: "CHAT_CONFLICT", reason: "version" });

const failures: [string, (sdk: Sdk) => unknown, unknown?][] = [
  [
    "throws",
    () => {
      throw thrown;
    },
    thrown,
  ],
  ["rejects", () => Promise.reject(thrown), thrown],
  [
    "throws a string",
    () => {
      throw "sk-secret";
    },
    "sk-secret",
  ],
  [
    "throws undefined",
    () => {
      throw undefined;
    },
    undefined,
  ],
  [
    "throws what looks like a conflict",
    () => {
      throw conflict;
    },
    conflict,
  ],
  ["returns undefined", () => undefined],
  ["returns null", async () => null],
  ["returns a string", () => "The moon."],
  ["returns a function", () => () => ReadableStream.from(textChunks("The moon."))],
  ["returns a Response", () => new Response("The moon.")],
  ["returns an object", () => ({})],
  [
    "returns a result that throws",
    () => ({
      toUIMessageStream: () => {
        throw thrown;
      },
    }),
    thrown,
  ],
];

describe.each(sdks)("An answer that fails on $name", (sdk) => {
  const used = useSdk(sdk);
  const good = () => ReadableStream.from(textChunks("The moon."));

  test.each(failures)(
    "because answer %s leaves the question and no turn, and can be generated again",
    async (...failure) => {
      const [, fail, expected] = failure;
      let answer: ChatHandlerOptions["answer"] = () => fail(sdk) as never;
      const { ask, send, chatId, errors, stored } = used.createChat((context) => answer(context));
      expect(await expectError(await ask(), "failed")).toBe("Something went wrong.");
      expect(errors).toEqual([
        { error: failure.length > 2 ? expected : expect.any(TypeError), method: "POST", route: "/" },
      ]);
      if (failure.length === 2) expect(String(errors[0]?.error)).toContain("answer returned");
      expect(await stored()).toEqual([question("Why?")]);
      expect((await send("GET", `/${chatId}/stream`)).status).toBe(204);
      const [running] = await used.database.query("select count(*)::int from chat_store.turns where chat_id = $1", [
        chatId,
      ]);
      expect(running).toEqual({ count: 0 });
      answer = good;
      const again = await ask(question("Why?"), { trigger: "regenerate-message" });
      expect(textIn(await chunksOf(again))).toBe("The moon.");
      expect(await stored()).toMatchObject([question("Why?"), { role: "assistant" }]);
      expect(errors).toHaveLength(1);
    },
  );

  test.runIf(sdk.name !== "ai 7")("because answer returns an object with a stream, which needs ai 7", async () => {
    const { ask, errors } = used.createChat(() => ({ stream: good() }));
    await expectError(await ask(), "failed");
    expect(errors).toMatchObject([{ error: { name: "TypeError" } }]);
  });

  test("because regenerating throws keeps the answer before", async () => {
    let answer: ChatHandlerOptions["answer"] = good;
    const { ask, send, chatId, stored } = used.createChat((context) => answer(context));
    await chunksOf(await ask());
    const before = await stored();
    answer = () => Promise.reject(thrown);
    await expectError(
      await ask(question("Why?"), { trigger: "regenerate-message", messageId: before[1]?.id }),
      "failed",
    );
    expect(await stored()).toEqual(before);
    expect((await send("GET", `/${chatId}/stream?version=2`)).status).toBe(204);
  });

  test.each([
    ["text", () => ReadableStream.from(["The ", "moon."]).pipeThrough(new TransformStream())],
    ["null", () => ReadableStream.from([null as never])],
    ["bytes", () => new Response("data: {}\n\n").body],
  ])("because its stream is one of %s: the response has an error chunk, and onError says why", async (_, stream) => {
    const { ask, errors, stored } = used.createChat(() => stream() as never);
    const chunks = await chunksOf(await ask());
    expect(chunks.at(-1)).toMatchObject({ type: "error", errorText: "An error occurred." });
    expect(errors).toMatchObject([{ error: { name: "TypeError" }, method: "POST", route: "/" }]);
    expect(await stored()).toEqual([question("Why?")]);
  });

  test.each([
    ["a text without its beginning", [{ type: "start" }, { type: "text-delta", id: "1", delta: "The moon." }]],
    ["an unknown chunk", [{ type: "start" }, { type: "hologram" }, { type: "finish" }]],
  ])("because its stream has %s ends the turn, and onError says why at most once", async (_, chunks) => {
    const { ask, send, chatId, errors, stored } = used.createChat(() => ReadableStream.from(chunks) as never);
    const text = await (await ask()).text().catch(() => "broken off");
    expect(text).toMatch(/"errorText":"An error occurred\."|broken off|hologram/);
    expect(errors.length).toBeLessThanOrEqual(1);
    expect(await stored()).toEqual([question("Why?")]);
    expect((await send("GET", `/${chatId}/stream`)).status).toBe(204);
  });

  test("after the first chunks stores what has arrived, and does not send the error's text", async () => {
    const words = controlledChunks();
    const { ask, send, chatId, errors, stored } = used.createChat(() => words.readable);
    const response = await ask();
    words.say("The moon");
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    let text = await readUntil(reader, "The moon");
    words.fail(thrown);
    text += await readUntil(reader, "[DONE]");
    expect(text).toContain('"errorText":"An error occurred."');
    expect(text).not.toContain("sk-secret");
    await eventually("the answer is stored", async () => (await stored()).length === 2);
    expect((await stored())[1]?.parts).toMatchObject([{ type: "text", text: "The moon" }]);
    expect((await send("GET", `/${chatId}/stream?version=2`)).status).toBe(204);
    expect(errors).toEqual([{ error: thrown, method: "POST", route: "/" }]);
  });

  test("because its stream breaks off when the user stops it is no fault, and the page sees no error", async () => {
    const words = controlledChunks();
    const { ask, send, chatId, errors, stored } = used.createChat(({ abortSignal }) => {
      abortSignal.addEventListener("abort", () => words.fail(abortSignal.reason));
      return words.readable;
    });
    const response = await ask();
    words.say("The moon");
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    await readUntil(reader, "The moon");
    expect(await (await send("DELETE", `/${chatId}/stream`)).json()).toEqual({ stopped: true });
    const text = await readUntil(reader, "[DONE]");
    expect(text).toContain('"type":"abort"');
    expect(text).not.toContain('"type":"error"');
    expect(errors).toEqual([]);
    expect((await stored())[1]?.parts).toMatchObject([{ type: "text", text: "The moon" }]);
  });

  test("because the provider fails sends an error chunk without the provider's text; streamText's onError has it", async () => {
    const provider = vi.fn();
    const { ask, stored, errors } = used.createChat(({ modelMessages }) =>
      sdk.ai.streamText({ ...quietly, onError: provider, model: sdk.model([thrown]), messages: modelMessages }),
    );
    const chunks = await chunksOf(await ask());
    expect(chunks).toContainEqual({ type: "error", errorText: "An error occurred." });
    expect(JSON.stringify(chunks)).not.toContain("sk-secret");
    expect(provider).toHaveBeenCalledOnce();
    expect(await stored()).toEqual([question("Why?")]);
    expect(errors).toEqual([]);
  });

  const changes: Record<string, (chat: ReturnType<typeof used.createChat>) => Promise<unknown>> = {
    "the chat is deleted": ({ send, chatId }) => send("DELETE", `/${chatId}`),
    "the question is edited": ({ ask }) => ask(question("How?"), { trigger: "submit-message", messageId: "q" }),
    "the question is deleted": ({ send, chatId }) => send("DELETE", `/${chatId}/messages/q`),
    "the answer is generated again": ({ ask }) => ask(question("Why?"), { trigger: "regenerate-message" }),
  };
  test.each(Object.keys(changes))("because %s meanwhile breaks its response off, which is no fault", async (change) => {
    const turns = [controlledChunks(), controlledChunks()];
    const [first] = turns as [(typeof turns)[number]];
    let asked = 0;
    const chat = used.createChat(() => turns[asked++]?.readable as never);
    const response = await chat.ask();
    first.say("The moon");
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    await readUntil(reader, "The moon");
    await changes[change]?.(chat);
    const before = await chat.stored();
    first.finish();
    await expect(readUntil(reader, "[DONE]")).rejects.toThrow();
    expect(await chat.stored()).toEqual(before);
    expect(chat.errors).toEqual([]);
    turns[1]?.finish();
  });

  test("because the database refuses it breaks its response off, and onError gets the error once", async () => {
    const words = controlledChunks();
    const { ask, chatId, errors, stored } = used.createChat(() => words.readable);
    const response = await ask();
    const rule = `check (chat_id <> '${chatId}' or role <> 'assistant')`;
    await used.database.query(`alter table chat_store.messages add constraint no_answers ${rule} not valid`);
    words.say("The moon.");
    words.finish();
    await expect(response.text()).rejects.toThrow();
    await used.database.query("alter table chat_store.messages drop constraint no_answers");
    expect(errors).toMatchObject([{ error: { name: "ChatStoreError" }, method: "POST", route: "/" }]);
    expect(errors).toHaveLength(1);
    expect(await stored()).toEqual([question("Why?")]);
  });

  test.each(["reads no further", "cancels the response"])("because the client %s is stored whole", async (way) => {
    const words = controlledChunks();
    const { ask, errors, stored } = used.createChat(() => words.readable);
    const response = await ask();
    words.say("The ");
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    await readUntil(reader, "The ");
    if (way === "cancels the response") await reader.cancel();
    words.say("moon.");
    words.finish();
    await eventually("the answer is stored", async () => (await stored()).length === 2);
    expect((await stored())[1]?.parts).toMatchObject([{ type: "text", text: "The moon." }]);
    expect(errors).toEqual([]);
  });

  test("because the client's connection breaks is stored whole", async () => {
    const words = controlledChunks();
    const { chat, chatId, errors, stored } = used.createChat(() => words.readable);
    const server = await serve(chat);
    const { body } = requestTo("POST", "/", { body: { id: chatId, message: question("Why?") } });
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${server.url}api/chat`, {
      method: "POST",
      headers,
      body,
      duplex: "half",
    } as RequestInit);
    words.say("The ");
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    await readUntil(reader, "The ");
    server.disconnect();
    await expect(reader.read()).rejects.toThrow();
    words.say("moon.");
    words.finish();
    await eventually("the answer is stored", async () => (await stored()).length === 2);
    expect((await stored())[1]?.parts).toMatchObject([{ type: "text", text: "The moon." }]);
    expect(errors).toEqual([]);
    await server.close();
  });
});

import { randomUUID } from "node:crypto";
import type { UIMessage, UIMessageChunk } from "ai";
import { beforeAll, expect } from "vitest";
import type { ChatHandlerOptions } from "../../src/handler.ts";
import type { ChatStore } from "../../src/index.ts";
import { chunksOf, type HandlerError, openTestStore, question, requestTo } from "./chat-handler.ts";
import { temporaryFolder } from "./folder.ts";
import type { Sdk } from "./scripted-sdks.ts";
import { loadWith } from "./sdks.ts";

/** The handler and the store as they are where this SDK is installed, for the tests of a `describe`. */
export function useSdk(sdk: Sdk) {
  const used = openTestStore();
  // Inside the checkout, where the bundle finds its SDK.
  const folder = temporaryFolder("handler");
  let packaged: Awaited<ReturnType<typeof loadWith>>;
  let store: ChatStore;
  beforeAll(async () => {
    packaged = await loadWith(sdk, folder);
    // Otherwise the tests would try another SDK than they say.
    expect(packaged.importedSdk.createUIMessageStream).toBe(sdk.ai.createUIMessageStream);
    store = packaged.createChatStore(used.database.db);
  });

  /** A handler with this answer, and a new chat to ask in. */
  function createChat(answer: ChatHandlerOptions["answer"], options: Partial<ChatHandlerOptions> = {}) {
    const errors: HandlerError[] = [];
    const chatId = randomUUID();
    const chat = packaged.createChatHandler({
      store,
      userId: () => "u",
      answer,
      onError: (error, where) => void errors.push({ error, ...where }),
      ...options,
    });
    return {
      chat,
      chatId,
      errors,
      send: (method: string, path: string, body?: object) => chat(requestTo(method, path, { body })),
      ask: (message: object = question("Why?"), more: object = {}) =>
        chat(requestTo("POST", "/", { body: { id: chatId, message, ...more } })),
      /** The messages as they are stored, read past the handler. */
      stored: async () => (await store.getChat({ userId: "u", chatId }))?.messages ?? [],
    };
  }

  /** The message that a page makes of the stream of a response. */
  async function shownOf(response: Response, message?: UIMessage): Promise<UIMessage | undefined> {
    const chunks = (await chunksOf(response)) as UIMessageChunk[];
    expect(chunks[0]).toMatchObject({ type: "start", messageId: expect.any(String) });
    expect(chunks.filter(({ type }) => type === "start")).toHaveLength(1);
    let shown = message;
    const stream = ReadableStream.from(chunks) as ReadableStream<UIMessageChunk>;
    for await (const next of sdk.ai.readUIMessageStream({
      stream,
      ...(message && { message: structuredClone(message) }),
    }))
      shown = structuredClone(next);
    return shown;
  }

  return {
    createChat,
    shownOf,
    get store() {
      return store;
    },
    get database() {
      return used.database;
    },
  };
}

/** Options of streamText that every test wants: no retries, and nothing printed, as an application would choose it. */
export const quietly = { maxRetries: 0, onError: () => {} };

/** A stream of chunks that the test writes one after the other. */
export function controlledChunks() {
  const { readable, writable } = new TransformStream<UIMessageChunk, UIMessageChunk>();
  const writer = writable.getWriter();
  const write = (chunk: object) => void writer.write(chunk as UIMessageChunk).catch(() => {});
  write({ type: "start", messageId: "its own" });
  write({ type: "text-start", id: "1" });
  return {
    readable,
    say: (delta: string) => write({ type: "text-delta", id: "1", delta }),
    finish: () => {
      write({ type: "text-end", id: "1" });
      write({ type: "finish" });
      void writer.close().catch(() => {});
    },
    fail: (error: unknown) => void writer.abort(error).catch(() => {}),
  };
}

/** Reads a response until it contains the text. */
export async function readUntil(reader: ReadableStreamDefaultReader<Uint8Array>, text: string): Promise<string> {
  const decoder = new TextDecoder();
  let read = "";
  while (!read.includes(text)) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`The response has ended without ${JSON.stringify(text)}.`);
    read += decoder.decode(value, { stream: true });
  }
  return read;
}

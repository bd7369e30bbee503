import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  consumeStream,
  createUIMessageStream,
  createUIMessageStreamResponse,
  streamText,
  toUIMessageStream,
  type UIMessage,
} from "ai";
import * as ai5 from "ai5";
import * as ai5Test from "ai5/test";
import * as ai6 from "ai6";
import * as ai6Test from "ai6/test";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ChatStore, createChatStore, type Turn } from "../../src/index.ts";
import { say } from "../support/conversations.ts";
import { databases, type TestDatabase } from "../support/databases.ts";
import { temporaryFolder } from "../support/folder.ts";
import { blocksOf } from "../support/pages.ts";
import { model, text } from "../support/sdk-messages.ts";

const [embedded] = databases as [(typeof databases)[number]];
const folder = temporaryFolder("own-callbacks");

/** What docs/turns.md prints under that note, with what it finds in an application. */
async function printed(note: string, countTokens: (message: UIMessage) => Promise<void>) {
  const block = blocksOf("docs/turns.md").find((block) => block.note === note) ?? expect.fail(note);
  const file = join(folder, `${note.replaceAll(" ", "-")}.ts`);
  await writeFile(file, block.text);
  Object.assign(globalThis, { countTokens });
  const { streamOf } = await import(/* @vite-ignore */ file);
  return streamOf as (turn: Turn, result: { stream: unknown }) => ReadableStream;
}

const mockSettings = (finishReason: unknown, usage: object) => ({
  doStream: async () => ({
    stream: ReadableStream.from([
      { type: "text-start", id: "1" },
      { type: "text-delta", id: "1", delta: "Hello." },
      { type: "text-end", id: "1" },
      { type: "finish", finishReason, usage },
    ]),
  }),
});
/** The same answer by each of the SDKs, whose results have `toUIMessageStream` as a method up to 6. */
const older = {
  "ai 5": () =>
    ai5.streamText({
      model: new ai5Test.MockLanguageModelV2(
        mockSettings("stop", { inputTokens: 1, outputTokens: 1, totalTokens: 2 }) as never,
      ),
      prompt: "Hi",
    }),
  "ai 6": () =>
    ai6.streamText({
      model: new ai6Test.MockLanguageModelV3(
        mockSettings({ unified: "stop" }, { inputTokens: { total: 1 }, outputTokens: { total: 1 } }) as never,
      ),
      prompt: "Hi",
    }) as unknown as ReturnType<typeof ai5.streamText>,
};
const newest = () => streamText({ model: model([text("Hello.")]), prompt: "Hi" });

describe("An application's own callback or parts beside persist", () => {
  let database: TestDatabase;
  let store: ChatStore;
  beforeAll(async () => {
    database = await embedded.open();
    store = createChatStore(database.db);
  });
  afterAll(async () => {
    Reflect.deleteProperty(globalThis, "countTokens");
    await database.close();
  });

  const start = async () => {
    const ids = { userId: "u", chatId: randomUUID() };
    const turn = await store.startTurn({ ...ids, message: say("user", "Hi") });
    const stored = async () => (await store.getChat(ids))?.messages;
    return { turn, stored };
  };
  const read = async (stream: ReadableStream) => {
    for await (const _ of stream);
  };
  const textOf = (message: UIMessage | undefined) =>
    message?.parts.map((part) => (part.type === "text" ? part.text : "")).join("");

  test("the docs' callback for ai 7 runs after the turn has saved the answer once", async () => {
    const { turn, stored } = await start();
    const seen: unknown[] = [];
    const streamOf = await printed("own callback", async (message) => {
      seen.push(message.id, (await stored())?.length);
    });
    await read(streamOf(turn, newest()));
    expect((await stored())?.map(textOf)).toEqual(["Hi", "Hello."]);
    expect(seen).toEqual([(await stored())?.[1]?.id, 2]);
  });

  test.each(Object.entries(older))("%s runs the application's onFinish, which saves the answer", async (_, result) => {
    const { turn, stored } = await start();
    const seen: unknown[] = [];
    const onFinish = async ({ responseMessage }: { responseMessage: ai5.UIMessage }) => {
      await turn.persist.onFinish({ responseMessage });
      seen.push((await stored())?.length);
    };
    const { generateMessageId, originalMessages } = turn.persist;
    const messages = originalMessages as ai5.UIMessage[];
    await read(result().toUIMessageStream({ originalMessages: messages, generateMessageId, onFinish }));
    expect((await stored())?.map(textOf)).toEqual(["Hi", "Hello."]);
    expect(seen).toEqual([2]);
  });

  test("the docs' own parts for ai 7 are stored with the answer, under the turn's id", async () => {
    const { turn, stored } = await start();
    const streamOf = await printed("own parts", async () => {});
    await read(streamOf(turn, newest()));
    const answer = (await stored())?.[1];
    expect(answer?.id).toBe(turn.persist.generateMessageId());
    expect(answer?.parts[0]).toEqual({ type: "data-progress", data: { done: 1 } });
    expect(textOf(answer)).toBe("Hello.");
  });

  test.each([
    ["ai 5", ai5, older["ai 5"]],
    ["ai 6", ai6 as unknown as typeof ai5, older["ai 6"]],
  ] as const)("%s stores the application's parts when it merges the result's stream", async (_, ai, result) => {
    const { turn, stored } = await start();
    const { generateMessageId: generateId, originalMessages, onFinish } = turn.persist;
    const stream = ai.createUIMessageStream({
      originalMessages: originalMessages as ai5.UIMessage[],
      onFinish,
      generateId,
      execute: ({ writer }) => {
        writer.write({ type: "data-progress", data: { done: 1 } });
        writer.merge(result().toUIMessageStream());
      },
    });
    await read(stream);
    const answer = (await stored())?.[1];
    expect(answer?.id).toBe(turn.persist.generateMessageId());
    expect(answer?.parts[0]).toEqual({ type: "data-progress", data: { done: 1 } });
    expect(textOf(answer)).toBe("Hello.");
  });

  test("the turn loses the application's parts when persist is in the merged stream, as the docs warn", async () => {
    const { turn, stored } = await start();
    await read(
      createUIMessageStream({
        execute: ({ writer }) => {
          writer.write({ type: "data-progress", data: { done: 1 } });
          writer.merge(toUIMessageStream({ stream: newest().stream, ...turn.persist }));
        },
      }),
    );
    expect((await stored())?.[1]?.parts.map(({ type }) => type)).not.toContain("data-progress");
  });

  test("ai 7 never calls an onFinish beside persist, as the docs warn", async () => {
    const { turn, stored } = await start();
    let calls = 0;
    const onFinish = () => void calls++;
    await read(toUIMessageStream({ stream: newest().stream, ...turn.persist, onFinish }));
    expect((await stored())?.map(textOf)).toEqual(["Hi", "Hello."]);
    expect(calls).toBe(0);
  });

  test("consumeStream's onError gets the error of a failed save when the client has gone", async () => {
    const { turn } = await start();
    await database.query("delete from chat_store.chats where id = $1", [turn.chat.id]);
    const heard: unknown[] = [];
    let consumed: Promise<void> | undefined;
    const response = createUIMessageStreamResponse({
      stream: toUIMessageStream({ stream: newest().stream, ...turn.persist }),
      consumeSseStream: ({ stream }) => {
        consumed = consumeStream({ stream, onError: (error) => heard.push(error) });
      },
    });
    await response.body?.cancel();
    await consumed;
    expect(heard).toMatchObject([{ code: "CHAT_CONFLICT" }]);
  });
});

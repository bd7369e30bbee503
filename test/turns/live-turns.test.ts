// Projects: main, drivers, citus. Long: tables.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { readUIMessageStream, type UIMessage, type UIMessageChunk } from "ai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ChatStore, Turn } from "../../src/index.ts";
import { say, textOf } from "../support/conversations.ts";
import {
  databases,
  databasesWithoutTransactions,
  embedded,
  inModes,
  modes,
  preparing,
  type TestDatabase,
} from "../support/databases.ts";
import { dyingProcess } from "../support/dying-process.ts";
import { eventually } from "../support/eventually.ts";
import { underRowLevelSecurity } from "../support/row-level-security.ts";
import { answer, speaker } from "../support/scripted-model.ts";

const decoded = (stream: ReadableStream<Uint8Array>) => stream.pipeThrough(new TextDecoderStream());
/** What a client of the SDK makes of a stream that has ended. */
async function messageIn(sse: string): Promise<{ message: UIMessage | undefined; errors: string[] }> {
  const chunks: UIMessageChunk[] = sse
    .split("\n\n")
    .filter((event) => event.startsWith("data: {"))
    .map((event) => JSON.parse(event.slice(6)));
  const errors = chunks.flatMap((chunk) => (chunk.type === "error" ? [chunk.errorText] : []));
  const stream = ReadableStream.from(chunks.filter(({ type }) => type !== "error"));
  let message: UIMessage | undefined;
  for await (const next of readUIMessageStream({ stream: stream as ReadableStream<UIMessageChunk> })) message = next;
  return { message, errors };
}

const permutations = (items: string[]): string[][] =>
  items.length < 2
    ? [items]
    : items.flatMap((item, index) => permutations(items.toSpliced(index, 1)).map((others) => [item, ...others]));

const kinds = [
  ...inModes(databases.filter(({ live }) => live)),
  ...embedded,
  ...inModes(databasesWithoutTransactions, modes.slice(0, 1)),
  ...underRowLevelSecurity.slice(0, 1),
  ...inModes(
    databases.filter(({ name }) => name === "node-postgres"),
    [preparing],
  ),
];

describe.each(kinds)("A recorded turn on $name, $mode", { concurrent: true }, ({ open, storeOn }) => {
  let database: TestDatabase;
  let store: ChatStore;
  beforeAll(async () => {
    database = await open();
    store = storeOn(database.db);
  });
  afterAll(() => database.close());

  /** A turn in a process of its own. */
  const begin = async () => {
    const ids = { userId: randomUUID(), chatId: randomUUID() };
    const turn = await ask(ids, { id: "q1" });
    return { ids, ...turn };
  };
  const ask = async (ids: { userId: string; chatId: string }, { id, limit }: { id: string; limit?: number }) => {
    const process = dyingProcess(database.db);
    const question = say("user", "Why do tides turn?", id);
    const turn = await storeOn(process.db).startTurn({ ...ids, message: question, limit });
    const voice = speaker();
    const response = await answer(turn, voice.model);
    return { turn, voice, response, process };
  };
  const recorded = (chatId: string) =>
    database.query<{ text: string }>("select text from chat_store.turn_chunks where chat_id = $1 order by seq", [
      chatId,
    ]);
  const untilRecorded = (chatId: string, text: string) =>
    eventually(`"${text}" is recorded`, async () =>
      (await recorded(chatId)).some((piece) => piece.text.includes(text)),
    );
  const setBackHeartbeat = (chatId: string) =>
    database.query("update chat_store.turns set beat_at = now() - interval '11 seconds' where chat_id = $1", [chatId]);
  /** The process dies, and more time passes than a turn may be silent for. */
  const dies = async ({ chatId }: { chatId: string }, process: { die(): Promise<void> }) => {
    await process.die();
    await setBackHeartbeat(chatId);
  };

  test("every reader who joins gets the whole answer, and the store saves it", async () => {
    const { ids, voice, response } = await begin();
    voice.say("The moon ");
    await untilRecorded(ids.chatId, "The moon");
    const joined = [await store.resumeTurn(ids), await store.resumeTurn({ ...ids, version: 1 })].map((stream) =>
      new Response(decoded(stream ?? expect.fail()).pipeThrough(new TextEncoderStream())).text(),
    );
    voice.say("pulls.");
    await voice.finish();
    const sent = await messageIn(await response.text());
    const stored = (await store.getChat(ids))?.messages.at(-1);
    expect(textOf(stored)).toBe("The moon pulls.");
    for (const sse of await Promise.all(joined)) {
      expect(sse.endsWith("data: [DONE]\n\n")).toBe(true);
      expect(await messageIn(sse)).toEqual(sent);
    }
    expect(JSON.parse(JSON.stringify(sent.message))).toEqual(stored);
    expect(await store.resumeTurn(ids)).toBeNull();
    expect(await store.resumeTurn({ ...ids, version: 2 })).toBeNull();
    const late = await store.resumeTurn({ ...ids, version: 1 });
    expect(JSON.parse(JSON.stringify(await messageIn(await new Response(late).text())))).toEqual({
      message: stored,
      errors: [],
    });
  });

  test("the turn goes on when the browser leaves", async () => {
    const { ids, voice, response } = await begin();
    voice.say("The moon ");
    await untilRecorded(ids.chatId, "The moon");
    await response.body?.cancel();
    voice.say("pulls.");
    await voice.finish();
    await eventually("the answer is stored", async () => (await store.getChat(ids))?.messages.length === 2);
    expect(textOf((await store.getChat(ids))?.messages.at(-1))).toBe("The moon pulls.");
  });

  test("a stop ends the turn, and the store saves the partial answer", async () => {
    const { ids, turn, voice, response } = await begin();
    voice.say("The moon ");
    await untilRecorded(ids.chatId, "The moon");
    expect(await store.stopTurn({ ...ids, messageId: "another question" })).toBe(false);
    expect(turn.abortSignal.aborted).toBe(false);
    expect(await store.stopTurn({ ...ids, messageId: "q1" })).toBe(true);
    await response.text();
    expect(turn.abortSignal.aborted).toBe(true);
    expect(textOf((await store.getChat(ids))?.messages.at(-1))).toBe("The moon ");
    expect(await store.stopTurn(ids)).toBe(false);
  });

  test("a stop without a message id ends all turns of the chat that are running", async () => {
    const first = await begin();
    const turn = await store.startTurn({ ...first.ids, message: say("user", "And the sun?", "q2") });
    const response = await answer(turn, speaker().model);
    expect(await store.stopTurn(first.ids)).toBe(true);
    await Promise.all([first.response.text(), response.text()]);
    expect([first.turn, turn].map(({ abortSignal }) => abortSignal.aborted)).toEqual([true, true]);
  });

  test("the turn stays alive and hears a stop when Postgres has lost part of its recording", async () => {
    const { ids, voice, response } = await begin();
    voice.say("The moon ");
    await untilRecorded(ids.chatId, "The moon");
    await database.query("update chat_store.turns set chunks = 0 where chat_id = $1", [ids.chatId]);
    voice.say("pulls ");
    await setBackHeartbeat(ids.chatId);
    const beats = async () =>
      (
        await database.query(
          "select from chat_store.turns where chat_id = $1 and beat_at > now() - interval '5 seconds'",
          [ids.chatId],
        )
      ).length;
    await eventually("the turn gives a sign of life", async () => (await beats()) === 1);
    expect(await store.stopTurn({ ...ids, messageId: "q1" })).toBe(true);
    await response.text();
    expect(textOf((await store.getChat(ids))?.messages.at(-1))).toBe("The moon pulls ");
  });

  test("a regenerated answer is whole when the old turn stops and ends before or after it, in any order", async () => {
    const orders = permutations(["stop", "end", "regenerate", "end anew"]).filter(
      (steps) => steps.indexOf("regenerate") < steps.indexOf("end anew"),
    );
    expect(orders).toHaveLength(12);
    await Promise.all(
      orders.map(async (order) => {
        const { ids, turn, voice } = await begin();
        voice.say("The moon ");
        await untilRecorded(ids.chatId, "The moon");
        const messageId = turn.persist.generateMessageId();
        const voiceAnew = speaker();
        let anew: Turn | undefined;
        const steps: Record<string, () => Promise<unknown>> = {
          stop: () => store.stopTurn({ ...ids, messageId }),
          end: () => voice.finish(),
          regenerate: async () => {
            anew = await store.startTurn({
              ...ids,
              message: say("user", "Why do tides turn?", "q1"),
              trigger: "regenerate-message",
            });
            void (await answer(anew, voiceAnew.model)).text();
            voiceAnew.say("The sun ");
            await untilRecorded(ids.chatId, "The sun");
          },
          "end anew": async () => {
            voiceAnew.say("does, too.");
            await voiceAnew.finish();
          },
        };
        for (const step of order) {
          await steps[step]?.();
          await sleep(300);
        }
        const isStored = async () => (await store.getChat(ids))?.messages[1]?.id === anew?.persist.generateMessageId();
        await eventually("the new answer is stored", isStored);
        expect((await store.getChat(ids))?.messages.map(textOf), order.join()).toEqual([
          "Why do tides turn?",
          "The sun does, too.",
        ]);
        expect(anew?.abortSignal.aborted).toBe(false);
      }),
    );
  });

  test("the turn stops when its chat is deleted or a newer turn takes its question", async () => {
    const [deleted, overtaken] = [await begin(), await begin()];
    for (const { voice, ids } of [deleted, overtaken]) {
      voice.say("The moon ");
      await untilRecorded(ids.chatId, "The moon");
    }
    const reader = new Response(await store.resumeTurn(overtaken.ids)).text();
    await database.query("delete from chat_store.chats where id = $1", [deleted.ids.chatId]);
    await store.startTurn({ ...overtaken.ids, message: say("user", "Why do tides turn?", "q1") });
    await Promise.all([deleted, overtaken].map(({ response }) => response.text().catch(() => {})));
    expect(deleted.turn.abortSignal.aborted && overtaken.turn.abortSignal.aborted).toBe(true);
    expect((await reader).endsWith("data: [DONE]\n\n")).toBe(true);
    expect(await recorded(deleted.ids.chatId)).toEqual([]);
    expect((await store.getChat(overtaken.ids))?.messages).toHaveLength(1);
  });

  test("two readers turn a dead process's recording into one answer, and the next question follows it", async () => {
    const { ids, voice, turn, process } = await begin();
    voice.say("The moon ");
    await untilRecorded(ids.chatId, "The moon");
    await dies(ids, process);
    const [one, two] = await Promise.all([
      store.resumeTurn({ ...ids, version: 1 }),
      store.resumeTurn({ ...ids, version: 1 }),
    ]);
    for (const stream of [one, two]) {
      const { message, errors } = await messageIn(await new Response(stream).text());
      expect(textOf(message)).toBe("The moon ");
      expect(errors).toEqual([expect.stringContaining("interrupted")]);
    }
    const chat = await store.getChat(ids);
    expect(chat?.messages.map(({ id }) => id)).toEqual(["q1", turn.persist.generateMessageId()]);
    expect(chat?.version).toBe(2);
    const next = await store.startTurn({ ...ids, message: say("user", "And then?", "q2") });
    expect(next.messages).toHaveLength(3);

    // It was only slow.
    process.comeBack();
    voice.say("pulls.");
    await voice.finish();
    const isWhole = async () => textOf((await store.getChat(ids))?.messages[1]) === "The moon pulls.";
    await eventually("the whole answer is stored", isWhole);
    expect((await store.getChat(ids))?.messages.map(({ id }) => id)).toEqual([
      "q1",
      turn.persist.generateMessageId(),
      "q2",
    ]);
  });

  test("a process that was taken for dead overwrites no message that now stands before its question", async () => {
    const { ids, turn, voice, process } = await begin();
    voice.say("The moon ");
    await untilRecorded(ids.chatId, "The moon");
    await dies(ids, process);
    await new Response(await store.resumeTurn(ids)).text();
    const [question, half] = (await store.getChat(ids))?.messages ?? [];
    if (!question || !half) expect.fail();
    await store.upsertChat({ ...ids, messages: [half, question] });
    process.comeBack();
    await voice.finish();
    const late = turn.persist.onEnd({ responseMessage: say("assistant", "The moon pulls.", half.id) });
    await expect(late).rejects.toMatchObject({ code: "CHAT_CONFLICT" });
    expect((await store.getChat(ids))?.messages).toEqual([half, question]);
  });

  test("the next question turns a dead process's recording into its answer", async () => {
    const { ids, voice, process } = await begin();
    voice.say("The moon ");
    await untilRecorded(ids.chatId, "The moon");
    await dies(ids, process);
    const next = await store.startTurn({ ...ids, message: say("user", "And then?", "q2") });
    expect(next.messages.map(textOf)).toEqual(["Why do tides turn?", "The moon ", "And then?"]);
    process.comeBack();
    await voice.finish();
  });

  test("a dead process's recording becomes its answer when an earlier turn had stored the question", async () => {
    const { ids, turn, voice } = await begin();
    await voice.finish();
    await turn.persist.onEnd({ responseMessage: say("assistant", "Nobody knows.", turn.persist.generateMessageId()) });
    const second = await ask(ids, { id: "q1", limit: 1 });
    second.voice.say("The moon ");
    await untilRecorded(ids.chatId, "The moon");
    await dies(ids, second.process);
    const next = await store.startTurn({ ...ids, message: say("user", "And then?", "q2") });
    expect(next.messages.map(textOf)).toEqual(["Why do tides turn?", "The moon ", "And then?"]);
    second.process.comeBack();
    await second.voice.finish();
  });

  test("a dead process's recording becomes its answer when the next turn's window does not reach the question", async () => {
    const { ids, voice, process } = await begin();
    voice.say("The moon ");
    await untilRecorded(ids.chatId, "The moon");
    const notices = ["n1", "n2", "n3", "n4"].map((id) => say("user", id, id));
    await store.upsertChat({ ...ids, after: "q1", messages: notices });
    await dies(ids, process);
    const next = await store.startTurn({ ...ids, message: say("user", "And then?", "q2"), limit: 2 });
    expect(next.messages.map(textOf)).toEqual(["n4", "And then?"]);
    expect((await store.getChat(ids))?.messages.map(textOf)).toEqual([
      "Why do tides turn?",
      "The moon ",
      ...notices.map(textOf),
      "And then?",
    ]);
    process.comeBack();
    await voice.finish();
  });

  test("a dead process's recording becomes no answer when another writer has edited its question", async () => {
    const { ids, voice, process } = await begin();
    voice.say("The moon ");
    await untilRecorded(ids.chatId, "The moon");
    await store.upsertChat({ ...ids, messages: [say("user", "Why do leaves fall?", "q1")] });
    await dies(ids, process);
    const resumed = await store.resumeTurn({ ...ids, version: 2 });
    expect(resumed && textOf((await messageIn(await new Response(resumed).text())).message)).toBeFalsy();
    const next = await store.startTurn({ ...ids, message: say("user", "And then?", "q2") });
    expect(next.messages.map(textOf)).toEqual(["Why do leaves fall?", "And then?"]);
    process.comeBack();
    await voice.finish();
  });

  test("a waiting reader gets the answer of a turn without a recording when the turn ends", async () => {
    const ids = { userId: randomUUID(), chatId: randomUUID() };
    const turn = await store.startTurn({ ...ids, message: say("user", "Why do tides turn?", "q1") });
    const waiting = new Response(await store.resumeTurn({ ...ids, version: 1 })).text();
    const responseMessage = say("assistant", "The moon pulls.", turn.persist.generateMessageId());
    await turn.persist.onEnd({ responseMessage });
    const { message, errors } = await messageIn(await waiting);
    expect(errors).toEqual([]);
    expect(JSON.parse(JSON.stringify(message))).toMatchObject({ id: responseMessage.id, role: "assistant" });
    expect(textOf(message)).toBe("The moon pulls.");
  });

  test("the next turn deletes a recording a minute after its end", async () => {
    const { ids, voice, response } = await begin();
    voice.say("The moon.");
    await voice.finish();
    await response.text();
    expect(await recorded(ids.chatId)).not.toEqual([]);
    await database.query("update chat_store.turns set ended_at = now() - interval '61 seconds' where chat_id = $1", [
      ids.chatId,
    ]);
    const turn = await store.startTurn({ ...ids, message: say("user", "And then?") });
    expect(await recorded(ids.chatId)).toEqual([]);
    await turn.persist.onEnd({ responseMessage: say("assistant", "It turns.") });
    expect(await database.query("select from chat_store.turns where chat_id = $1", [ids.chatId])).toEqual([]);
  });
});

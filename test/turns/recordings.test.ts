// Projects: main. Long: citus.
// Isolated: it watches the clock and what is printed.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { UIMessage } from "ai";
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { deletedAfterEnd } from "../../src/conversation/turn-liveness.ts";
import { queryUnprepared } from "../../src/database/query.ts";
import { type ChatDatabase, type ChatStore, createChatStore } from "../../src/index.ts";
import { chatTables, defaultSchema } from "../../src/schema.ts";
import { toSseEvent } from "../../src/turns/sse-events.ts";
import { heartbeat, readRecording } from "../../src/turns/turn-queries.ts";
import { say } from "../support/conversations.ts";
import { databases, type TestDatabase } from "../support/databases.ts";

const contextOf = (db: ChatDatabase) => ({
  db,
  tables: chatTables(defaultSchema),
  settings: { portable: false, rowLevelSecurity: false, branches: false },
});
const fine = { owned: 1, exists: 1, running: 1, stop: 0, superseded: 0 };
const word = (delta: string) => toSseEvent({ type: "text-delta", id: "1", delta });
const beginning = (messageId: string) =>
  toSseEvent({ type: "start", messageId }) + toSseEvent({ type: "text-start", id: "1" });

/** What the events of a stream say, and how it ends. */
async function heard(stream: ReadableStream<Uint8Array> | null) {
  const events = (await new Response(stream).text()).split("\n\n").filter((event) => event.startsWith("data: {"));
  const chunks = events.map((event) => JSON.parse(event.slice("data: ".length)));
  return {
    text: chunks.map(({ delta, inputTextDelta }) => delta ?? inputTextDelta ?? "").join(""),
    end: chunks.at(-1)?.type,
  };
}

describe.each(databases)("A recording on $name", ({ name, open }) => {
  let database: TestDatabase;
  let store: ChatStore;
  beforeAll(async () => {
    database = await open();
    store = createChatStore(database.db);
  });
  afterAll(() => database.close());

  /** A turn whose pieces are written by the test. */
  const begin = async (question = "q1", ids = { userId: randomUUID(), chatId: randomUUID() }) => {
    const turn = await store.startTurn({ ...ids, message: say("user", "Why?", question) });
    const [row] = await database.query<{ id: string }>(
      "select id::text from chat_store.turns where chat_id = $1 and question_id = $2",
      [ids.chatId, question],
    );
    const id = row?.id ?? expect.fail();
    const write = (position: number, text?: string) => heartbeat(contextOf(database.db), ids, id, position, text);
    const answerId = turn.persist.generateMessageId();
    const answer = (text: string) => turn.persist.onEnd({ responseMessage: say("assistant", text, answerId) });
    return { ids, id, turn, answerId, write, answer };
  };
  const pieces = (chatId: string) =>
    database.query("select seq, text from chat_store.turn_chunks where chat_id = $1 order by seq", [chatId]);
  const silence = (chatId: string) =>
    database.query("update chat_store.turns set beat_at = now() - interval '11 seconds' where chat_id = $1", [chatId]);
  const stored = async (ids: { userId: string; chatId: string }) =>
    (await store.getChat(ids))?.messages.map(({ parts }) => parts.map((part) => "text" in part && part.text).join(""));

  test("the table holds a piece once when the recorder sends it again", async () => {
    const { ids, write } = await begin();
    for (const position of [0, 0, 1, 1]) expect(await write(position, `piece ${position}`)).toMatchObject(fine);
    expect(await pieces(ids.chatId)).toEqual([0, 1].map((seq) => ({ seq, text: `piece ${seq}` })));
  });

  test("the table refuses a piece or a heartbeat at the wrong position", async () => {
    const { ids, write } = await begin();
    await write(0, "piece 0");
    await write(1, "piece 1");
    for (const [position, text] of [[0, "late"], [3, "early"], [1], [3]] as const) {
      expect(await write(position, text)).toMatchObject({ owned: 1, running: 0 });
    }
    expect(await write(2)).toMatchObject(fine);
    expect(await pieces(ids.chatId)).toHaveLength(2);
  });

  test("readers and the stored answer get a recording up to the piece that Postgres has lost", async () => {
    const { ids, answerId, write } = await begin();
    for (const [position, text] of [`${beginning(answerId)}${word("The ")}`, word("moon "), word("pulls.")].entries()) {
      await write(position, text);
    }
    const reader = (await store.resumeTurn(ids)) ?? expect.fail("nothing runs");
    await database.query("delete from chat_store.turn_chunks where chat_id = $1 and seq = 1", [ids.chatId]);
    const late = (await store.resumeTurn(ids)) ?? expect.fail("nothing runs");
    await silence(ids.chatId);
    expect(await heard(late)).toEqual({ text: "The ", end: "error" });
    expect(await heard(reader)).toEqual({ text: "The moon pulls.", end: "error" });
    expect(await stored(ids)).toEqual(["Why?", "The "]);
  });

  test("readers and the stored answer get a recording of hundreds of pieces whole", async () => {
    const { ids, answerId, write } = await begin();
    await write(0, beginning(answerId));
    const words = Array.from({ length: 450 }, (_, index) => `word ${index} `);
    for (const [index, text] of words.entries()) await write(index + 1, word(text));
    const reader = (await store.resumeTurn(ids)) ?? expect.fail("nothing runs");
    await silence(ids.chatId);
    expect(await heard(reader)).toEqual({ text: words.join(""), end: "error" });
    expect(await stored(ids)).toEqual(["Why?", words.join("")]);
  });

  test("a reader gets the recording of the newer of two running turns", async () => {
    const older = await begin("q1");
    await database.query("update chat_store.turns set started_at = now() - interval '1 second'");
    const newer = await begin("q2", older.ids);
    for (const [name, { write, answerId }] of Object.entries({ older, newer })) {
      await write(0, beginning(answerId) + word(name));
    }
    const reader = (await store.resumeTurn(older.ids)) ?? expect.fail("nothing runs");
    await older.answer("older");
    await newer.answer("newer");
    expect(await heard(reader)).toMatchObject({ text: "newer" });
  });

  test("a reader gets the older turn's recording when the newer turn has died without a word", async () => {
    const { ids, answerId, write, answer } = await begin("q1");
    await write(0, beginning(answerId) + word("The moon "));
    const newer = await begin("q2", ids);
    await database.query("update chat_store.turns set beat_at = now() - interval '11 seconds' where id = $1", [
      newer.id,
    ]);
    const reader = (await store.resumeTurn(ids)) ?? expect.fail("nothing runs");
    await answer("The moon pulls.");
    expect(await heard(reader)).toMatchObject({ text: "The moon " });
  });

  test("the recording becomes the answer at once when the answer itself could not be saved", async () => {
    const ids = { userId: randomUUID(), chatId: randomUUID() };
    await store.upsertChat({ ...ids, messages: [say("user", "Who?", "q0"), say("assistant", "I.", "a0")] });
    const { turn, answerId } = await begin("q1", ids);
    await turn.consumeSseStream({ stream: ReadableStream.from([beginning(answerId) + word("The moon ")]) });
    // The id of another message.
    await expect(turn.persist.onEnd({ responseMessage: say("assistant", "The moon pulls.", "a0") })).rejects.toThrow();
    const reader = await store.resumeTurn({ ...ids, version: 2 });
    expect(await stored(ids)).toEqual(["Who?", "I.", "Why?", "The moon "]);
    expect(await heard(reader)).toEqual({ text: "The moon ", end: "error" });
  });

  test.each([
    { did: "died", end: "", state: "output-error" },
    { did: "had finished it", end: toSseEvent({ type: "finish" }), state: "input-available" },
    { did: "had finished it without saying so", end: ": over\n\n", state: "input-available" },
  ])("the stored answer has its tool call as $state when the server $did", async ({ end, state }) => {
    const { ids, answerId, write } = await begin();
    const call = { type: "tool-input-available", toolCallId: "t1", toolName: "look", input: {} };
    await write(0, beginning(answerId) + toSseEvent(call) + end);
    await silence(ids.chatId);
    await store.resumeTurn(ids);
    expect((await store.getChat(ids))?.messages[1]?.parts.at(-1)).toMatchObject({ toolCallId: "t1", state });
  });

  const progress = { type: "tool-output-available", toolCallId: "t1", output: { percent: 50 }, preliminary: true };
  test("a tool in progress is stored as one that failed when the server died, also after an approval", async () => {
    const called = { type: "tool-input-available", toolCallId: "t1", toolName: "look", input: {} };
    const asked = await begin();
    await asked.write(0, beginning(asked.answerId) + toSseEvent(called) + toSseEvent(progress));
    const approval = { id: "p", approved: true };
    const call = { type: "tool-look", toolCallId: "t1", input: {}, approval: { id: "p" } };
    const part = (more: object) => ({ id: "a1", role: "assistant", parts: [{ ...call, ...more }] }) as UIMessage;
    const ids = { userId: randomUUID(), chatId: randomUUID() };
    await store.upsertChat({ ...ids, messages: [say("user", "Why?", "q1"), part({ state: "approval-requested" })] });
    const message = part({ state: "approval-responded", approval });
    await store.startTurn({ ...ids, message, tools: { look: { execute: () => 1 } } });
    const [turn] = await database.query<{ id: string }>("select id::text from chat_store.turns where chat_id = $1", [
      ids.chatId,
    ]);
    await heartbeat(
      contextOf(database.db),
      ids,
      turn?.id ?? expect.fail(),
      0,
      toSseEvent({ type: "start" }) + toSseEvent(progress),
    );
    for (const each of [asked.ids, ids]) {
      await silence(each.chatId);
      await store.resumeTurn(each);
      const closed = (await store.getChat(each))?.messages[1]?.parts.at(-1);
      expect(closed).toMatchObject({ state: "output-error", errorText: expect.stringContaining("not known") });
      expect(Object.keys(closed ?? {})).not.toContain("preliminary");
      expect(Object.keys(closed ?? {})).not.toContain("output");
    }
  });

  test("the next question closes a tool in progress that a stopped turn has left", async () => {
    const { ids, answerId, turn } = await begin();
    const { type: _, ...output } = progress;
    const part = { ...output, type: "tool-look", state: "output-available", input: {} };
    const responseMessage = { id: answerId, role: "assistant", parts: [part] } as unknown as UIMessage;
    await turn.persist.onEnd({ responseMessage });
    const next = await store.startTurn({ ...ids, message: say("user", "And then?", "q2") });
    expect(next.messages[1]?.parts[0]).toMatchObject({ toolCallId: "t1", state: "output-error" });
  });

  test("a page of a recording holds a bounded number of bytes, and at least one piece", async () => {
    const { ids, id, write } = await begin();
    const sizes = [100_000, 100_000, 100_000, 1_000_000, 10, 10, 250_000, 10];
    for (const [position, size] of sizes.entries()) await write(position, "é".repeat(size / 2));
    const pages: number[][] = [];
    for (let position = 0; position < sizes.length; ) {
      const page = await readRecording(contextOf(database.db), ids, { turnId: id, position });
      const bytes = page?.pieces.map((text) => Buffer.byteLength(text)) ?? expect.fail("no page");
      pages.push(bytes);
      position += bytes.length;
      expect(page?.isLastPage).toBe(position === sizes.length);
    }
    expect(pages).toEqual([[100_000, 100_000], [100_000], [1_000_000], [10, 10, 250_000, 10]]);
  });

  test.each<{ does: string; cut: (ids: { userId: string; chatId: string }) => Promise<unknown> }>([
    {
      does: "falls behind by a minute",
      cut: ({ chatId }) => database.query("delete from chat_store.turns where chat_id = $1", [chatId]),
    },
    {
      does: "has its chat claimed by another user",
      cut: ({ userId }) => store.claimChats({ fromUserId: userId, userId: randomUUID() }),
    },
    { does: "has its chat deleted", cut: (ids) => store.deleteChat(ids) },
    {
      does: "has its question asked again",
      cut: (ids) => store.startTurn({ ...ids, message: say("user", "Why?", "q1"), trigger: "regenerate-message" }),
    },
  ])("a reader that $does gets an error in the middle of an answer, and none after its end", async ({ cut }) => {
    for (const [end, expected] of [
      ["", "error"],
      [toSseEvent({ type: "finish" }), "finish"],
    ] as const) {
      const { ids, answerId, write } = await begin();
      await write(0, beginning(answerId) + word("You must NOT ") + end);
      const reader = ((await store.resumeTurn(ids)) ?? expect.fail("nothing runs")).getReader();
      let body = new TextDecoder().decode((await reader.read()).value);
      await cut(ids);
      for (let next = await reader.read(); !next.done; next = await reader.read()) {
        body += new TextDecoder().decode(next.value);
      }
      expect(await heard(new Response(body).body)).toEqual({ text: "You must NOT ", end: expected });
      expect(body.endsWith("data: [DONE]\n\n")).toBe(true);
    }
  });

  test("a reader that has heard nothing yet follows the turn in which its question is asked again", async () => {
    const { ids } = await begin();
    const reader = ((await store.resumeTurn(ids)) ?? expect.fail("nothing runs")).getReader();
    await store.startTurn({ ...ids, message: say("user", "Why?", "q1"), trigger: "regenerate-message" });
    const newest = "select id::text from chat_store.turns where chat_id = $1 and not superseded";
    const [newer] = await database.query<{ id: string }>(newest, [ids.chatId]);
    await heartbeat(
      contextOf(database.db),
      ids,
      newer?.id ?? expect.fail(),
      0,
      toSseEvent({ type: "start", messageId: "anew" }),
    );
    expect(new TextDecoder().decode((await reader.read()).value)).toContain("anew");
    await reader.cancel();
  });

  test("a reader that has heard nothing yet gets an error when the chat is claimed by another user", async () => {
    const { ids } = await begin();
    const reader = (await store.resumeTurn(ids)) ?? expect.fail("nothing runs");
    await store.claimChats({ fromUserId: ids.userId, userId: randomUUID() });
    expect(await heard(reader)).toEqual({ text: "", end: "error" });
  });

  /** An answer with a tool call that is continued, and what its turn has recorded. */
  const beginContinuation = async () => {
    const ids = { userId: randomUUID(), chatId: randomUUID() };
    const call = (toolCallId: string, output?: string) => ({
      type: "tool-locate",
      toolCallId,
      state: output === undefined ? "input-available" : "output-available",
      input: {},
      ...(output !== undefined && { output }),
    });
    const message = (...parts: object[]) =>
      ({ id: "a1", role: "assistant", parts: [{ type: "text", text: "Let me see. " }, ...parts] }) as UIMessage;
    const asked = [say("user", "Why?", "q1"), message(call("t1"), call("t2"))];
    await store.upsertChat({ ...ids, messages: asked });
    const ask = (...parts: object[]) => store.startTurn({ ...ids, message: message(...parts), tools: { locate: {} } });
    const question = [call("t1", "here"), call("t2")];
    const turn = await ask(...question);
    const newest = "select id::text from chat_store.turns where chat_id = $1 order by started_at desc limit 1";
    const say2 = async (text: string) => {
      const [row] = await database.query<{ id: string }>(newest, [ids.chatId]);
      const recorded =
        toSseEvent({ type: "start", messageId: "a1" }) + toSseEvent({ type: "text-start", id: "1" }) + word(text);
      await heartbeat(contextOf(database.db), ids, row?.id ?? expect.fail(), 0, recorded);
    };
    await say2("Done.");
    return { ids, turn, question, message, call, ask, say: say2 };
  };

  test("a reader that joins a continuation at its end gets its words once", async () => {
    const { ids, turn, message, question } = await beginContinuation();
    const reader = await store.resumeTurn(ids);
    const done = { type: "text", text: "Done." };
    await turn.persist.onEnd({ responseMessage: message(...question, done) });
    expect(await heard(reader)).toEqual({ text: "Let me see. {}Done.", end: "finish" });
  });

  test("a reader of a continuation gets its words after the message as another writer has changed it", async () => {
    const { ids, message, question, turn } = await beginContinuation();
    const reader = await store.resumeTurn(ids);
    const [, a1 = expect.fail()] = (await store.getChat(ids))?.messages ?? [];
    await store.updateMessage({ ...ids, message: { ...a1, metadata: { rating: 1 } } });
    const heardAll = heard(reader);
    await turn.persist.onEnd({ responseMessage: message(...question, { type: "text", text: "Done." }) });
    expect((await heardAll).text).toBe("Let me see. {}Done.");
  });

  test("a reader of a continuation follows the turn in which another tab has answered another of its tools", async () => {
    const { ids, ask, call, message, say } = await beginContinuation();
    const reader = await store.resumeTurn(ids);
    const question = [call("t1", "here"), call("t2", "there")];
    const newer = await ask(...question);
    await say("Both.");
    const heardAll = heard(reader);
    await newer.persist.onEnd({ responseMessage: message(...question, { type: "text", text: "Both." }) });
    expect((await heardAll).text).toBe("Let me see. {}{}Both.");
  });

  test("readers get no recording of a superseded turn, also when the newer turn has ended", async () => {
    const { ids, answerId, write } = await begin();
    await write(0, beginning(answerId) + word("The sun "));
    const anew = await store.startTurn({ ...ids, message: say("user", "Why?", "q1") });
    await anew.persist.onEnd({ responseMessage: say("assistant", "The moon pulls.") });
    expect(await store.resumeTurn(ids)).toBeNull();
  });

  test("the recording process deletes its recording a minute after its end", async () => {
    const { ids, turn, answerId, answer } = await begin();
    await turn.consumeSseStream({ stream: ReadableStream.from([beginning(answerId) + word("The moon pulls.")]) });
    const timers = vi.spyOn(globalThis, "setTimeout");
    await answer("The moon pulls.");
    // A new connection of postgres.js has a timer of half an hour and more.
    const [deleteIt] = timers.mock.calls.find(([, delay]) => delay === deletedAfterEnd) ?? expect.fail("no timer");
    timers.mockRestore();
    await deleteIt();
    expect(await pieces(ids.chatId)).not.toEqual([]);
    await database.query("update chat_store.turns set ended_at = now() - interval '61 seconds' where chat_id = $1", [
      ids.chatId,
    ]);
    await deleteIt();
    expect(await pieces(ids.chatId)).toEqual([]);
  });

  test("the store queries a recording only while a reader reads it", async () => {
    const { ids, answer } = await begin();
    let reads = 0;
    const counted: ChatDatabase = Object.create(database.db, {
      execute: {
        value: (...query: Parameters<ChatDatabase["execute"]>) => {
          reads++;
          return database.db.execute(...query);
        },
      },
    });
    const reader = ((await createChatStore(counted).resumeTurn(ids)) ?? expect.fail("nothing runs")).getReader();
    const readsIn = async (milliseconds: number) => {
      const before = reads;
      await sleep(milliseconds);
      return reads - before;
    };
    expect(await readsIn(300)).toBe(0);
    const first = reader.read();
    await expect.poll(() => readsIn(100)).toBeGreaterThan(0);
    await reader.cancel();
    await first;
    // One may have been on its way.
    await readsIn(300);
    expect(await readsIn(500)).toBe(0);
    await answer("The moon pulls.");
  });

  test("the recorder, and nothing else, writes without waiting for the disk, except on PGlite", async () => {
    const { ids, id } = await begin();
    const setting = async (db: ChatDatabase) =>
      (await queryUnprepared<{ is: string }>(db, sql`select current_setting('synchronous_commit') "is"`))[0]?.is;
    const usual = await setting(database.db);
    await database.db.transaction(async (tx) => {
      await heartbeat(contextOf(tx), ids, id, 0, "piece");
      expect(await setting(tx)).toBe(name === "PGlite" ? usual : "off");
    });
    expect(await setting(database.db)).toBe(usual);
  });

  test("a reader gets the start of the message first when the recording begins with another event", async () => {
    const { ids, answerId, write } = await begin();
    await write(0, toSseEvent({ type: "data-progress", data: 1 }));
    const reader = ((await store.resumeTurn(ids)) ?? expect.fail("nothing runs")).getReader();
    expect(new TextDecoder().decode((await reader.read()).value)).toBe(
      toSseEvent({ type: "start", messageId: answerId }),
    );
    await reader.cancel();
  });

  test("a reader gets a comment as a sign of life while no event comes", async () => {
    const { ids, answer } = await begin();
    const now = performance.now.bind(performance);
    const clock = vi.spyOn(performance, "now").mockImplementation(() => now());
    try {
      const reader = ((await store.resumeTurn(ids)) ?? expect.fail("nothing runs")).getReader();
      const first = reader.read();
      clock.mockImplementation(() => now() + 11_000);
      expect(new TextDecoder().decode((await first).value)).toBe(": still here\n\n");
      await reader.cancel();
    } finally {
      clock.mockRestore();
    }
    await answer("The moon pulls.");
  });
});

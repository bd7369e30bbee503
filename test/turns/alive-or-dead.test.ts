import { randomUUID } from "node:crypto";
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type ChatDatabase, type ChatStore, createChatStore, type Turn } from "../../src/index.ts";
import { toSseEvent } from "../../src/turns/sse-events.ts";
import { say, textOf } from "../support/conversations.ts";
import { databases, inModes, nodePostgres, openWith, servers, type TestDatabase } from "../support/databases.ts";
import { dyingProcess } from "../support/dying-process.ts";
import { eventually } from "../support/eventually.ts";
import { underRowLevelSecurity } from "../support/row-level-security.ts";

const kinds = [...inModes(databases.slice(0, 2)), ...underRowLevelSecurity.slice(0, 1)];

describe.each(kinds)("Whether a turn is alive, on $name, $mode", ({ open, storeOn }) => {
  let database: TestDatabase;
  let store: ChatStore;
  beforeAll(async () => {
    database = await open();
    store = storeOn(database.db);
  });
  afterAll(() => database.close());

  const newIds = () => ({ userId: "u", chatId: randomUUID() });
  type Ids = ReturnType<typeof newIds>;
  const start = (store: ChatStore, ids: Ids) => store.startTurn({ ...ids, message: say("user", "Why?", "q1") });
  const end = (turn: Turn, text: string) =>
    turn.persist.onEnd({ responseMessage: say("assistant", text, turn.persist.generateMessageId()) });
  const shown = async (ids: Ids) => (await store.getChat(ids))?.messages.map(textOf);
  const mark = async ({ chatId }: Ids) => {
    const [row] = await database.query<{ runs: boolean; interrupted: boolean; stop: boolean; chunks: number }>(
      "select ended_at is null runs, interrupted, stop, chunks from chat_store.turns where chat_id = $1",
      [chatId],
    );
    return row;
  };
  const setBack = ({ chatId }: Ids, assignment: string) =>
    database.query(`update chat_store.turns set ${assignment} where chat_id = $1`, [chatId]);
  const silent = "beat_at = now() - interval '11 seconds'";

  /** The stream of a turn, which the test writes. It ends with the test. */
  function streamOf(turn: Turn) {
    const { readable, writable } = new TransformStream<string, string>();
    const writer = writable.getWriter();
    const recorded = turn.consumeSseStream({ stream: readable });
    onTestFinished(async () => {
      await writer.close().catch(() => {});
      await recorded;
    });
    const write = (chunk: object) => void writer.write(toSseEvent(chunk)).catch(() => {});
    write({ type: "start", messageId: turn.persist.generateMessageId() });
    write({ type: "text-start", id: "1" });
    return { say: (delta: string) => write({ type: "text-delta", id: "1", delta }) };
  }
  const hasRecorded = ({ chatId }: Ids) =>
    eventually("the words are recorded", async () => {
      const text = "select string_agg(text, '') text from chat_store.turn_chunks where chat_id = $1";
      return (await database.query<{ text: string }>(text, [chatId]))[0]?.text?.includes("The moon");
    });

  /** A turn whose process has recorded the first words and then hangs. */
  async function hangingTurn() {
    const ids = newIds();
    const process = dyingProcess(database.db);
    const turn = await start(storeOn(process.db), ids);
    streamOf(turn).say("The moon ");
    await hasRecorded(ids);
    await process.die();
    return { ids, process, turn };
  }

  test("a turn that was taken for dead runs again when its writer comes back, and can be stopped", async () => {
    const { ids, process, turn } = await hangingTurn();
    await setBack(ids, silent);
    const told = await new Response(await store.resumeTurn({ ...ids, version: 1 })).text();
    expect(told).toContain('"error"');
    expect(await shown(ids)).toEqual(["Why?", "The moon "]);
    expect(await store.stopTurn(ids)).toBe(false);
    await setBack(ids, "stop = false");

    process.comeBack();
    await eventually("the turn runs again", async () => (await mark(ids))?.runs);
    expect(turn.abortSignal.aborted).toBe(false);
    expect(await store.stopTurn(ids)).toBe(true);
    await eventually("the model is told to stop", () => turn.abortSignal.aborted);
    await end(turn, "The moon pulls.");
    expect(await shown(ids)).toEqual(["Why?", "The moon pulls."]);
  });

  test.each<[string, (ids: Ids, messageId: string) => Promise<unknown>]>([
    ["updateMessage", (ids, id) => store.updateMessage({ ...ids, message: say("assistant", "(redacted)", id) })],
    ["deleteMessage", (ids, messageId) => store.deleteMessage({ ...ids, messageId })],
  ])("%s of the answer of a turn that runs again tells its model to stop", async (_, change) => {
    const { ids, process, turn } = await hangingTurn();
    await setBack(ids, "beat_at = 'epoch'");
    await (await store.resumeTurn(ids))?.cancel();
    process.comeBack();
    await eventually("the turn runs again", async () => (await mark(ids))?.runs);
    await change(ids, turn.persist.generateMessageId());
    await eventually("the model is told to stop", () => turn.abortSignal.aborted);
    await expect(end(turn, "The moon pulls.")).rejects.toMatchObject({ code: "CHAT_CONFLICT" });
  });

  test("a page that joins a continuation that runs again gets its words once, live to its end", async () => {
    const ids = newIds();
    const base = say("assistant", "Let me see. ", "a1");
    const call = { type: "tool-where" as const, toolCallId: "t1", state: "input-available", input: {} };
    const asked = { ...base, parts: [...base.parts, call as never] };
    await store.upsertChat({ ...ids, messages: [say("user", "Why?", "q1"), asked] });
    const given = { ...call, state: "output-available", output: "here" };
    const sent = { ...asked, parts: [...base.parts, given as never] };
    const process = dyingProcess(database.db);
    const turn = await storeOn(process.db).startTurn({ ...ids, message: sent, tools: { where: {} } });
    const stream = streamOf(turn);
    stream.say("The moon ");
    await hasRecorded(ids);
    await process.die();
    await setBack(ids, "beat_at = 'epoch'");
    await (await store.resumeTurn(ids))?.cancel();
    expect(await shown(ids)).toEqual(["Why?", "Let me see. The moon "]);
    process.comeBack();
    await eventually("the turn runs again", async () => (await mark(ids))?.runs);
    const joined = new Response(await store.resumeTurn(ids)).text();
    stream.say("pulls.");
    const parts = [...sent.parts, { type: "text" as const, text: "The moon pulls." }];
    await turn.persist.onEnd({ responseMessage: { ...sent, parts } });
    const said = [...(await joined).matchAll(/"delta":"([^"]*)"/g)].map(([, delta]) => delta).join("");
    expect(said).toBe("Let me see. The moon pulls.");
    expect(await joined).not.toContain('"error"');
    expect(await shown(ids)).toEqual(["Why?", "Let me see. The moon pulls."]);
  });

  test("a page that comes between another page's two looks at a dead turn gets its recording, too", async () => {
    const ids = newIds();
    const turn = await start(store, ids);
    const chunks = [
      { type: "start", messageId: turn.persist.generateMessageId() },
      { type: "text-start", id: "1" },
    ];
    await turn.consumeSseStream({
      stream: ReadableStream.from([...chunks, { type: "text-delta", id: "1", delta: "The moon " }].map(toSseEvent)),
    });
    await setBack(ids, silent);
    const heard = await Promise.all([1, 2].map(async () => new Response(await store.resumeTurn(ids)).text()));
    for (const text of heard) expect(text).toMatch(/The moon .*"error"/s);
  });

  test("a stop reaches a turn that was taken for dead, and tells the caller that none runs", async () => {
    const { ids, process, turn } = await hangingTurn();
    await setBack(ids, silent);
    expect(await store.stopTurn(ids)).toBe(false);
    process.comeBack();
    await eventually("the model is told to stop", () => turn.abortSignal.aborted);
  });

  test.each(["resumeTurn", "startTurn"] as const)(
    "%s does not take a turn for dead whose writer comes back before the second look",
    async (method) => {
      const ids = newIds();
      const turn = await start(store, ids);
      const start_ = { type: "start", messageId: turn.persist.generateMessageId() };
      await turn.consumeSseStream({
        stream: ReadableStream.from([start_, { type: "text-start", id: "1" }].map(toSseEvent)),
      });
      await setBack(ids, silent);
      // The writer comes back after the other process has looked once.
      let looks = 0;
      const look =
        <Method extends "execute" | "transaction">(method: Method) =>
        async (...parameters: never[]) => {
          if (++looks === 2) await setBack(ids, "beat_at = now() + interval '1 hour'");
          return (database.db[method] as (...parameters: never[]) => unknown).apply(database.db, parameters);
        };
      const looking: ChatDatabase = Object.create(database.db, {
        execute: { value: look("execute") },
        transaction: { value: look("transaction") },
      });
      const other = storeOn(looking);
      if (method === "resumeTurn") {
        const stream = await other.resumeTurn({ ...ids, version: 1 });
        expect(stream).not.toBeNull();
        await stream?.cancel();
      } else {
        await other.startTurn({ ...ids, message: say("user", "And?", "q2") });
        expect(await shown(ids)).toEqual(["Why?", "And?"]);
      }
      expect(looks).toBeGreaterThanOrEqual(2);
      const marks = await database.query("select interrupted from chat_store.turns where chat_id = $1", [ids.chatId]);
      expect(marks).not.toContainEqual({ interrupted: true });
    },
  );

  describe("stopTurn", () => {
    test.each([
      [
        "has not recorded anything for hours",
        "started_at = now() - interval '10 hours', beat_at = now() - interval '10 hours'",
      ],
      ["has recorded something, and is silent", "chunks = 1, beat_at = now() - interval '11 seconds'"],
      ["was taken for dead", "chunks = 1, ended_at = now(), interrupted = true"],
      ["was superseded", "superseded = true"],
      ["has ended", "ended_at = now()"],
    ])("gives false for a turn that %s", async (_, assignment) => {
      const ids = newIds();
      await start(store, ids);
      await setBack(ids, assignment);
      expect(await store.stopTurn(ids)).toBe(false);
    });

    test.each([
      ["has just begun", "chunks = 0"],
      ["is recorded", "chunks = 1, beat_at = now()"],
    ])("gives true for a turn that %s", async (_, assignment) => {
      const ids = newIds();
      await start(store, ids);
      await setBack(ids, assignment);
      expect(await store.stopTurn(ids)).toBe(true);
    });
  });

  describe("fail", () => {
    test("ends the turn at once: the question stays, and no page waits for an answer", async () => {
      const ids = newIds();
      const turn = await start(store, ids);
      await turn.fail();
      expect(turn.abortSignal.aborted).toBe(true);
      expect(await store.resumeTurn({ ...ids, version: 1 })).toBeNull();
      expect(await store.stopTurn(ids)).toBe(false);
      expect(await mark(ids)).toBeUndefined();
      await expect(end(turn, "Because.")).rejects.toMatchObject({ code: "CHAT_CONFLICT" });
      await turn.fail();
      expect(await shown(ids)).toEqual(["Why?"]);
    });

    test("ends a turn that was recorded: its readers get an error and nothing is stored", async () => {
      const ids = newIds();
      const turn = await start(store, ids);
      streamOf(turn).say("The moon ");
      await hasRecorded(ids);
      const reader = (await store.resumeTurn(ids))?.getReader() ?? expect.fail("nothing runs");
      const first = new TextDecoder().decode((await reader.read()).value);
      expect(first).toContain("start");
      await turn.fail();
      let rest = "";
      for (let read = await reader.read(); !read.done; read = await reader.read()) {
        rest += new TextDecoder().decode(read.value);
      }
      expect(rest).toContain('"error"');
      expect(await shown(ids)).toEqual(["Why?"]);
    });

    test("does nothing once the answer is stored, or is being stored", async () => {
      const ids = newIds();
      const turn = await start(store, ids);
      await Promise.all([end(turn, "Because."), turn.fail()]);
      await turn.fail();
      expect(turn.abortSignal.aborted).toBe(false);
      expect(await shown(ids)).toEqual(["Why?", "Because."]);
    });

    test("leaves the approval of a turn that failed to the next request", async () => {
      const ids = newIds();
      const part = (state: string, approval: object = {}) => ({
        type: "tool-pay" as const,
        toolCallId: "t1",
        state,
        input: {},
        approval: { id: "p", ...approval },
      });
      const message = (part: object) => ({ id: "a1", role: "assistant" as const, parts: [part as never] });
      await store.upsertChat({
        ...ids,
        messages: [say("user", "pay", "q1"), message(part("approval-requested"))],
      });
      const approved = { ...ids, message: message(part("approval-responded", { approved: true })) };
      const turn = await store.startTurn(approved);
      await expect(store.startTurn(approved)).rejects.toMatchObject({ code: "CHAT_CONFLICT" });
      await turn.fail();
      await store.startTurn(approved);
    });
  });

  test("the signal of a turn aborts when its chat was deleted and another was made under the same id", async () => {
    const ids = newIds();
    const turn = await start(store, ids);
    streamOf(turn).say("The moon ");
    await hasRecorded(ids);
    await store.deleteChat(ids);
    await store.upsertChat({ ...ids, messages: [say("user", "Another?")] });
    await eventually("the model is told to stop", () => turn.abortSignal.aborted);
    await expect(end(turn, "The moon pulls.")).rejects.toMatchObject({ code: "CHAT_CONFLICT" });
    expect(await shown(ids)).toEqual(["Another?"]);
  });

  test("the signal of a turn that was taken for dead aborts when its answer was deleted meanwhile", async () => {
    const { ids, process, turn } = await hangingTurn();
    await setBack(ids, "beat_at = 'epoch'");
    await (await store.resumeTurn({ ...ids, version: 1 }))?.cancel();
    await store.deleteMessage({ ...ids, messageId: turn.persist.generateMessageId() });
    process.comeBack();
    await eventually("the model is told to stop", () => turn.abortSignal.aborted);
    expect(await shown(ids)).toEqual(["Why?"]);
  });
});

test("stopTurn succeeds at repeatable read while a heartbeat of the turn is being written", async () => {
  const [server] = servers;
  if (!server) return;
  const database = await openWith((url) =>
    nodePostgres(`${url}?options=${encodeURIComponent("-c default_transaction_isolation=repeatable\\ read")}`),
  );
  onTestFinished(() => database.close());
  const store = createChatStore(database.db);
  const ids = { userId: "u", chatId: "c" };
  await store.startTurn({ ...ids, message: say("user", "Why?") });
  let stopping: Promise<boolean> | undefined;
  await (database.db as ChatDatabase).transaction(async (tx) => {
    await tx.execute(sql`update chat_store.turns set beat_at = now()`);
    stopping = store.stopTurn(ids);
    await eventually("stopTurn waits for the heartbeat", async () => {
      const rows = await database.query(
        "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()",
      );
      return rows.length > 0;
    });
  });
  expect(await stopping).toBe(true);
});

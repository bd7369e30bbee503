// Projects: main. Long: tables, sessions, citus.
import { randomUUID } from "node:crypto";
import type { UIMessage } from "ai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ChatStore, InvalidChatError, type StartTurnInput, type Turn } from "../../src/index.ts";
import { say } from "../support/conversations.ts";
import { databases, inModes, modes, type TestDatabase } from "../support/databases.ts";
import { underRowLevelSecurity } from "../support/row-level-security.ts";

/** Without a window on each of them; in windows of two lengths on one: the same has to come out. */
const kinds = [
  ...[...inModes(databases), ...underRowLevelSecurity].map((kind) => ({ ...kind, limit: undefined })),
  ...inModes(databases.slice(1, 2), modes.slice(0, 1)).flatMap((kind) =>
    [2, 3, 10].map((limit) => ({ ...kind, limit })),
  ),
];

describe.each(kinds)("Answers to tool calls on $name, $mode, limit $limit", ({ open, storeOn, limit }) => {
  let database: TestDatabase;
  let store: ChatStore;
  beforeAll(async () => {
    database = await open();
    store = storeOn(database.db);
  });
  afterAll(() => database.close());

  type Part = UIMessage["parts"][number];
  /** The message "a1" with these parts after the beginning of its step. */
  const message = (...parts: object[]): UIMessage => ({
    id: "a1",
    role: "assistant",
    parts: [{ type: "step-start" }, ...(parts as Part[])],
  });
  const pay = (state: string, more: object = {}) => ({
    type: "tool-pay",
    toolCallId: "t1",
    state,
    input: { eur: 5 },
    ...more,
  });
  const requested = pay("approval-requested", { approval: { id: "p" } });
  const responded = (approved: boolean) => pay("approval-responded", { approval: { id: "p", approved } });
  const paid = pay("output-available", { approval: { id: "p", approved: true }, output: "paid" });
  const locate = (toolCallId: string, output?: string) => ({
    type: "tool-locate",
    toolCallId,
    state: output === undefined ? "input-available" : "output-available",
    input: {},
    ...(output === undefined ? {} : { output }),
  });
  const tools = { locate: {}, pay: { execute: () => "paid" } };

  /** A chat whose last message waits for answers. */
  async function chatWith(...parts: object[]) {
    const chatId = randomUUID();
    await store.upsertChat({ userId: "u", chatId, messages: [say("user", "pay", "q1"), message(...parts)] });
    return chatId;
  }
  const start = (chatId: string, sent: UIMessage, more: Partial<StartTurnInput> = {}) =>
    store.startTurn({ userId: "u", chatId, message: sent, tools, limit, ...more });
  const end = (turn: Turn, responseMessage: UIMessage) => turn.persist.onEnd({ responseMessage });
  const stored = async (chatId: string) =>
    (await store.getChat({ userId: "u", chatId }))?.messages.find(({ id }) => id === "a1")?.parts.slice(1);
  const conflict = { code: "CHAT_CONFLICT", expectedVersion: null, actualVersion: 2 };

  test.each([
    ["approved twice", true, true],
    ["approved, then denied", true, false],
    ["denied, then approved", false, true],
  ])("the store accepts one answer to an approval request (%s)", async (_, first, second) => {
    const chatId = await chatWith(requested);
    const turn = await start(chatId, message(responded(first)));
    expect(turn.messages.at(-1)).toEqual(message(responded(first)));
    await expect(start(chatId, message(responded(second)))).rejects.toMatchObject({ ...conflict, chatId });
    expect(await stored(chatId)).toEqual([responded(first)]);
    await end(turn, message(paid));
    await expect(start(chatId, message(responded(second)))).rejects.toMatchObject({ code: "CHAT_CONFLICT" });
    expect(await stored(chatId)).toEqual([paid]);
  });

  test("one of eight simultaneous answers to an approval request starts a turn", async () => {
    const chatId = await chatWith(requested);
    const outcomes = await Promise.allSettled(
      Array.from({ length: 8 }, (_, tab) => start(chatId, message(responded(tab % 2 === 0)))),
    );
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === "rejected") expect(outcome.reason).toMatchObject({ code: "CHAT_CONFLICT" });
    }
  });

  test("a retry goes on, with another answer if it likes, when the turn before it ended without acting", async () => {
    const chatId = await chatWith(requested);
    // Its provider failed: nothing was added to what it was given.
    await end(await start(chatId, message(responded(true))), message(responded(true)));
    const retry = await start(chatId, message(responded(false)));
    expect(retry.messages.at(-1)).toEqual(message(responded(false)));
    await end(retry, message(pay("output-denied", { approval: { id: "p", approved: false } })));
    await expect(start(chatId, message(responded(true)))).rejects.toMatchObject({ code: "CHAT_CONFLICT" });
  });

  test("a retry goes on five minutes after the start of a turn that has died", async () => {
    const chatId = await chatWith(requested);
    const lost = await start(chatId, message(responded(true)));
    const age = (minutes: number) =>
      database.query("update chat_store.turns set started_at = now() - make_interval(mins => $2) where chat_id = $1", [
        chatId,
        minutes,
      ]);
    await age(4);
    await expect(start(chatId, message(responded(true)))).rejects.toMatchObject(conflict);
    await age(6);
    const retry = await start(chatId, message(responded(true)));
    await expect(end(lost, message(paid))).rejects.toMatchObject({ code: "CHAT_CONFLICT" });
    await end(retry, message(paid));
    expect(await stored(chatId)).toEqual([paid]);
  });

  test("the store takes a recorded turn for dead after ten seconds of silence", async () => {
    const chatId = await chatWith(requested);
    await start(chatId, message(responded(true)));
    const silent = (seconds: number) =>
      database.query(
        "update chat_store.turns set chunks = 1, beat_at = now() - make_interval(secs => $2) where chat_id = $1",
        [chatId, seconds],
      );
    await silent(5);
    await expect(start(chatId, message(responded(true)))).rejects.toMatchObject(conflict);
    await silent(11);
    await start(chatId, message(responded(true)));
  });

  test.each([
    ["first", ["A", "B"]],
    ["last", ["B", "A"]],
  ])(
    "both outputs stay when two tabs answer two tools of one message and the first tab's turn ends %s",
    async (_, order) => {
      const chatId = await chatWith(locate("A"), locate("B"));
      const turns: Record<string, Turn> = {
        A: await start(chatId, message(locate("A", "here"), locate("B"))),
        B: await start(chatId, message(locate("A"), locate("B", "there"))),
      };
      expect(turns.B?.messages.at(-1)).toEqual(message(locate("A", "here"), locate("B", "there")));
      // The first tab's turn has not been told of the second's answer. One question has one turn: the newer one's words count.
      const said = { type: "text", text: "Both." };
      for (const tab of order) {
        const turn = turns[tab] ?? expect.fail();
        const parts = turn.messages.at(-1)?.parts.slice(1) ?? [];
        const ended = end(turn, message(...parts, ...(tab === "B" ? [said] : [])));
        if (tab === "A") await expect(ended).rejects.toMatchObject({ code: "CHAT_CONFLICT" });
        else await ended;
      }
      expect(await stored(chatId)).toEqual([locate("A", "here"), locate("B", "there"), said]);
    },
  );

  test("the turn stores all answers to tool calls that one request brings", async () => {
    const chatId = await chatWith(locate("A"), locate("B"), requested);
    await start(chatId, message(locate("A", "here"), locate("B", "there"), responded(true)));
    expect(await stored(chatId)).toEqual([locate("A", "here"), locate("B", "there"), responded(true)]);
  });

  test("the turn keeps an output that another writer has stored in the continued message", async () => {
    const chatId = await chatWith(locate("A"), locate("B"));
    const turn = await start(chatId, message(locate("A", "here"), locate("B")));
    const messages = [say("user", "pay", "q1"), message(locate("A", "here"), locate("B", "there"))];
    await store.upsertChat({ userId: "u", chatId, messages });
    await end(turn, message(locate("A", "here"), locate("B"), { type: "text", text: "Go on." }));
    expect(await stored(chatId)).toEqual([locate("A", "here"), locate("B", "there"), { type: "text", text: "Go on." }]);
  });

  test.each<[string, object, object, Partial<StartTurnInput>]>([
    ["of a tool that the server executes", pay("input-available"), pay("output-available", { output: "paid" }), {}],
    ["of a tool that is not named", locate("A"), locate("A", "here"), { tools: {} }],
    ["of any tool when the route names none", locate("A"), locate("A", "here"), { tools: undefined }],
    [
      "of a tool that the provider executes",
      { ...locate("A"), providerExecuted: true },
      { ...locate("A", "here"), providerExecuted: true },
      {},
    ],
    [
      "of a server's tool as an error",
      pay("input-available"),
      pay("output-error", { errorText: "I could not pay" }),
      {},
    ],
    [
      "of a dynamic tool that is not named",
      { type: "dynamic-tool", toolName: "pay", toolCallId: "A", state: "input-available", input: {} },
      { type: "dynamic-tool", toolName: "pay", toolCallId: "A", state: "output-available", input: {}, output: "paid" },
      {},
    ],
  ])("a browser cannot forge the output %s", async (_, part, forged, more) => {
    const chatId = await chatWith(part);
    const error = await start(chatId, message(forged), more).catch((thrown: unknown) => thrown);
    if (!InvalidChatError.isInstance(error)) expect.fail(String(error));
    expect(error.issues).toMatchObject([{ path: ["message", "parts", 1] }]);
    expect(error.message).toContain("expected that of a tool without execute");
    expect(await stored(chatId)).toEqual([part]);
  });

  test("a browser may send the output or the failure of a tool that has no execute", async () => {
    const dynamic = { type: "dynamic-tool", toolName: "locate", toolCallId: "D", state: "input-available", input: {} };
    const chatId = await chatWith(dynamic, locate("A"));
    const answered = [
      { ...dynamic, state: "output-available", output: { at: "home" } },
      { ...locate("A"), state: "output-error", errorText: "no GPS" },
    ];
    const turn = await start(chatId, message(...answered));
    expect(turn.messages.at(-1)).toEqual(message(...answered));
  });

  describe("An approval whose turn was stopped or has died", () => {
    test.each([
      ["approved", true, { state: "output-error", errorText: expect.stringContaining("not known") }],
      ["denied", false, { state: "output-denied" }],
    ])("the next question closes the approval (%s) and goes on", async (_, approved, closed) => {
      const chatId = await chatWith(requested);
      await start(chatId, message(responded(approved)));
      await database.query("update chat_store.turns set started_at = now() - interval '6 minutes' where chat_id = $1", [
        chatId,
      ]);
      const turn = await start(chatId, say("user", "Never mind", "q2"));
      const expected = { ...responded(approved), ...closed };
      // A window of two would begin with the answer.
      expect(turn.messages.map(({ id }) => id)).toEqual(limit === 2 ? ["q2"] : ["q1", "a1", "q2"]);
      if (limit !== 2) expect(turn.messages[1]?.parts[1]).toEqual(expected);
      expect(await stored(chatId)).toEqual([expected]);
    });

    test("an approval whose turn runs stays as it is, and the model of the next question is told that its tool may be running", async () => {
      const chatId = await chatWith(requested);
      const running = await start(chatId, message(responded(true)));
      const next = await start(chatId, say("user", "What else?", "q2"));
      const told = {
        ...responded(true),
        state: "output-error",
        errorText: "This tool may still be running. Its result is not known yet.",
      };
      expect(next.messages.slice(0, -1).map(({ parts }) => parts[1])).toEqual(limit === 2 ? [] : [undefined, told]);
      expect(await stored(chatId)).toEqual([responded(true)]);
      const paid = { ...responded(true), state: "output-available", output: "paid" };
      await running.persist.onEnd({ responseMessage: message(paid) });
      expect(await stored(chatId)).toEqual([paid]);
    });

    test("the approval stays as it is when the client asks an earlier question again", async () => {
      const chatId = await chatWith(requested);
      await start(chatId, message(responded(true)));
      await start(chatId, say("user", "pay", "q1"), { trigger: "regenerate-message" });
      expect(await stored(chatId)).toEqual([responded(true)]);
    });
  });
});

// Projects: main, node, tables, citus. Long: sessions.
import { randomUUID } from "node:crypto";
import type { UIMessage } from "ai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ChatStore, createChatStore, type StartTurnInput, type Turn } from "../../src/index.ts";
import { say } from "../support/conversations.ts";
import { databases, inModes, modes, type TestDatabase } from "../support/databases.ts";
import { underRowLevelSecurity } from "../support/row-level-security.ts";

/** Without a window on each of them; in windows of two lengths on one: the same has to come out. */
const kinds = [
  ...[...inModes(databases), ...underRowLevelSecurity].map((kind) => ({ ...kind, limit: undefined })),
  ...inModes(databases.slice(1, 2), modes.slice(0, 1)).flatMap((kind) => [2, 10].map((limit) => ({ ...kind, limit }))),
];

describe.each(kinds)("Requests on $name, $mode, limit $limit", ({ open, storeOn, limit }) => {
  let database: TestDatabase;
  let store: ChatStore;
  beforeAll(async () => {
    database = await open();
    store = storeOn(database.db);
  });
  afterAll(() => database.close());

  type Sent = Omit<StartTurnInput, "userId" | "chatId" | "message">;
  const ask = (chatId: string, message: UIMessage, sent: Sent = {}) =>
    store.startTurn({ userId: "u", chatId, message, limit, ...sent });
  const answer = (turn: Turn, text: string, id = turn.persist.generateMessageId()) =>
    turn.persist.onEnd({ responseMessage: say("assistant", text, id) });
  const superseded = { code: "CHAT_CONFLICT" };

  const load = (chatId: string) => store.getChat({ userId: "u", chatId });
  /** What a reload shows, a word a message. */
  const shown = async (chatId: string) =>
    (await load(chatId))?.messages
      .map(({ parts }) => parts.map((part) => (part.type === "text" ? part.text : "")).join(""))
      .join(" ");
  const marks = async (chatId: string) =>
    (await database.query("select id from chat_store.turns where chat_id = $1", [chatId])).length;

  /** [q1, a1, q2, a2] */
  async function twoTurns() {
    const chatId = randomUUID();
    const questions = [say("user", "q1"), say("user", "q2")] as const;
    await answer(await ask(chatId, questions[0]), "a1");
    await answer(await ask(chatId, questions[1]), "a2");
    return { chatId, questions };
  }
  const regenerate = { trigger: "regenerate-message" } as const;
  const submit = { trigger: "submit-message" } as const;

  test("the turn appends a question with a new id, whatever the trigger", async () => {
    for (const trigger of [undefined, "submit-message", "regenerate-message"] as const) {
      const chatId = randomUUID();
      await answer(await ask(chatId, say("user", "q1"), { trigger }), "a1");
      await answer(await ask(chatId, say("user", "q2"), { trigger }), "a2");
      expect(await shown(chatId)).toBe("q1 a1 q2 a2");
    }
  });

  test("a regeneration cuts nothing before its answer is there, and hides later messages from the model", async () => {
    const { chatId, questions } = await twoTurns();
    const before = await load(chatId);
    const turn = await ask(chatId, questions[0], regenerate);
    expect(turn.messages).toEqual([questions[0]]);
    expect(await load(chatId)).toEqual(before);
    await answer(turn, "b1");
    expect(await shown(chatId)).toBe("q1 b1");
  });

  test.each([
    ["no parts", []],
    ["a step that has only begun", [{ type: "step-start" }]],
  ])("an empty answer (%s) is not stored and replaces nothing", async (_, parts) => {
    const { chatId, questions } = await twoTurns();
    const before = await load(chatId);
    const turn = await ask(chatId, questions[0], regenerate);
    const empty = { id: turn.persist.generateMessageId(), role: "assistant", parts } as UIMessage;
    await turn.persist.onEnd({ responseMessage: empty });
    expect(await load(chatId)).toEqual(before);
    expect(await marks(chatId)).toBe(0);
  });

  test("a regeneration keeps the messages that other turns add while it runs", async () => {
    const { chatId, questions } = await twoTurns();
    const again = await ask(chatId, questions[0], regenerate);
    await answer(await ask(chatId, say("user", "q3")), "a3");
    await answer(again, "b1");
    expect(await shown(chatId)).toBe("q1 b1 q3 a3");
  });

  test("an edit cuts the chat at once, and the store refuses answers to the questions that it cut", async () => {
    const { chatId, questions } = await twoTurns();
    const other = await ask(chatId, say("user", "q3"));
    const edited = say("user", "Q1", questions[0].id);
    const turn = await ask(chatId, edited, { ...submit, messageId: edited.id });
    expect(await shown(chatId)).toBe("Q1");
    await expect(answer(other, "a3")).rejects.toMatchObject(superseded);
    await answer(turn, "A1");
    expect(await shown(chatId)).toBe("Q1 A1");
    expect(await marks(chatId)).toBe(1); // the superseded one, which is swept some seconds later
  });

  test("an edit with unchanged text still cuts the messages after it", async () => {
    const { chatId, questions } = await twoTurns();
    await answer(await ask(chatId, questions[0], { ...submit, messageId: questions[0].id }), "b1");
    expect(await shown(chatId)).toBe("q1 b1");
  });

  test("a retry keeps the questions that other tabs have asked since", async () => {
    const chatId = randomUUID();
    const question = say("user", "q1");
    await ask(chatId, question, submit); // stored, but the connection broke before the answer
    await answer(await ask(chatId, say("user", "q2"), submit), "a2");
    const retry = await ask(chatId, question, submit);
    expect(await shown(chatId)).toBe("q1 q2 a2");
    await answer(retry, "a1");
    expect(await shown(chatId)).toBe("q1 a1 q2 a2");
  });

  test("a late duplicate of a request replaces its own question's answer and nothing else", async () => {
    const { chatId, questions } = await twoTurns();
    const duplicate = await ask(chatId, questions[0], submit);
    expect(await shown(chatId)).toBe("q1 a1 q2 a2");
    await answer(duplicate, "b1");
    expect(await shown(chatId)).toBe("q1 b1 q2 a2");
  });

  test("a retry keeps the metadata that the server has added to its question", async () => {
    const chatId = randomUUID();
    const question = say("user", "q1");
    await answer(await ask(chatId, question), "a1");
    const messages = (await load(chatId))?.messages ?? [];
    await store.upsertChat({
      userId: "u",
      chatId,
      messages: messages.map((message) => ({ ...message, metadata: { seen: true } })),
    });
    await ask(chatId, question, submit);
    expect((await load(chatId))?.messages[0]?.metadata).toEqual({ seen: true });
    expect(await shown(chatId)).toBe("q1 a1");
  });

  test.each<[string, Sent, (string | number)[]]>([
    ["other words under a stored id, submitted without messageId", submit, ["message", "id"]],
    ["a messageId of another message", { ...submit, messageId: "another" }, ["messageId"]],
    ["an unknown trigger", { trigger: "resume-stream" as "submit-message" }, ["trigger"]],
    ["a messageId that is no string", { messageId: 1 as unknown as string }, ["messageId"]],
    ["tools that are no object", { tools: 1 as unknown as Record<string, object> }, ["tools"]],
  ])("the store refuses %s and changes nothing", async (_, sent, path) => {
    const { chatId, questions } = await twoTurns();
    const before = await load(chatId);
    await expect(ask(chatId, say("user", "Q1", questions[0].id), sent)).rejects.toMatchObject({
      code: "INVALID_CHAT",
      issues: [{ path }],
    });
    expect(await load(chatId)).toEqual(before);
  });

  describe.each([
    ["the older finishes last", [1, 0]],
    ["the older finishes first", [0, 1]],
  ] as const)("Two turns of one question, when %s", (_, order) => {
    test.each([
      ["stopped, then regenerated", regenerate],
      ["sent twice", submit],
      ["sent twice, without a trigger", {}],
    ])("the newer turn's answer stays (%s)", async (_, sent) => {
      const chatId = randomUUID();
      const question = say("user", "q1");
      const turns = [await ask(chatId, question), await ask(chatId, question, sent)] as const;
      for (const index of order) {
        const answered = answer(turns[index], index === 0 ? "old" : "new");
        if (index === 0) await expect(answered).rejects.toMatchObject(superseded);
        else await answered;
      }
      expect(await shown(chatId)).toBe("q1 new");
    });
  });

  test("the store refuses the older turn's answer, however often it tries", async () => {
    const chatId = randomUUID();
    const question = say("user", "q1");
    const [old, current] = [await ask(chatId, question), await ask(chatId, question)];
    for (const _ of [1, 2]) await expect(answer(old, "old")).rejects.toMatchObject(superseded);
    await answer(current, "new");
    await expect(answer(old, "old")).rejects.toMatchObject(superseded);
    expect(await shown(chatId)).toBe("q1 new");
  });

  test("a turn stays superseded when the newer turn ends without an answer", async () => {
    const chatId = randomUUID();
    const question = say("user", "q1");
    const [old, current] = [await ask(chatId, question), await ask(chatId, question)];
    await current.persist.onEnd({ responseMessage: { id: randomUUID(), role: "assistant", parts: [] } });
    await expect(answer(old, "old")).rejects.toMatchObject(superseded);
    expect(await shown(chatId)).toBe("q1");
  });

  test("a turn cannot answer in a new chat under its deleted chat's id", async () => {
    const chatId = randomUUID();
    const question = say("user", "q1");
    const old = await ask(chatId, question);
    await database.query("delete from chat_store.chats where id = $1", [chatId]);
    const current = await ask(chatId, say("user", "q2"));
    await expect(answer(old, "a1")).rejects.toMatchObject(superseded);
    await answer(current, "a2");
    expect(await shown(chatId)).toBe("q2 a2");
    await expect(answer(old, "a1")).rejects.toMatchObject(superseded);

    // Also if the very same question was asked in it.
    await database.query("delete from chat_store.chats where id = $1", [chatId]);
    await ask(chatId, question);
    await expect(answer(old, "a1")).rejects.toMatchObject(superseded);
    expect(await shown(chatId)).toBe("q1");
  });

  test.each(["user", "assistant", "system"] as const)(
    "a message of role %s that another writer has put after the question stays",
    async (role) => {
      const chatId = randomUUID();
      const question = say("user", "q1");
      const turn = await ask(chatId, question);
      const notice = say(role, "notice");
      await store.upsertChat({ userId: "u", chatId, messages: [question, notice], expectedVersion: 1 });
      await answer(turn, "a1");
      expect(await shown(chatId)).toBe("q1 a1 notice");
    },
  );

  test("the store refuses an answer when another writer has changed or removed its question", async () => {
    const question = say("user", "q1");
    for (const messages of [[say("user", "Q1", question.id)], [say("user", "q2")], []]) {
      const chatId = randomUUID();
      const turn = await ask(chatId, question);
      await store.upsertChat({ userId: "u", chatId, messages });
      await expect(answer(turn, "a1")).rejects.toMatchObject({ code: "CHAT_CONFLICT", actualVersion: 2 });
      expect(await load(chatId)).toMatchObject({ version: 2, messages });
    }
  });

  test("a retry beside the first turn keeps another writer's message after the question", async () => {
    const chatId = randomUUID();
    const question = say("user", "q1");
    await ask(chatId, question, submit);
    await store.upsertChat({ userId: "u", chatId, messages: [question, say("assistant", "notice")] });
    await answer(await ask(chatId, question, submit), "a1");
    expect(await shown(chatId)).toBe("q1 a1 notice");
  });

  test("an unfinished turn blocks no later turn or save", async () => {
    const chatId = randomUUID();
    const question = say("user", "q1");
    await ask(chatId, question);
    await answer(await ask(chatId, say("user", "q2")), "a2");
    await answer(await ask(chatId, question), "a1");
    expect(await shown(chatId)).toContain("q1 a1");
    await store.upsertChat({ userId: "u", chatId, messages: [question] });
    await store.upsertChat({ userId: "u", chatId, messages: [] });
    expect(await load(chatId)).toMatchObject({ messages: [] });
  });

  test("the next turn of a chat deletes the chat's expired marks, and no other chat's", async () => {
    const chatId = randomUUID();
    const question = say("user", "q1");
    const other = randomUUID();
    await ask(other, question);
    await ask(chatId, question);
    await answer(await ask(chatId, question), "a1");
    await ask(chatId, say("user", "q2"));
    expect(await marks(chatId)).toBe(2);
    const age = (what: string) =>
      database.query(`update chat_store.turns set ${what} where chat_id in ($1, $2)`, [chatId, other]);
    await age("beat_at = now() - interval '11 seconds'");
    await answer(await ask(chatId, say("user", "q3")), "a3");
    expect(await marks(chatId)).toBe(1); // the superseded one is gone
    await age("started_at = now() - interval '25 hours'");
    await answer(await ask(chatId, say("user", "q4")), "a4");
    expect([await marks(chatId), await marks(other)]).toEqual([0, 1]);
  });

  test("an onEnd whose confirmation was lost succeeds when it is called again", async () => {
    const chatId = randomUUID();
    const turn = await ask(chatId, say("user", "q1"));
    const responseMessage = say("assistant", "a1", turn.persist.generateMessageId());
    const [stored] = await database.query<{ id: string }>("select id::text from chat_store.turns where chat_id = $1", [
      chatId,
    ]);
    // As the database is when the answer was stored and the connection broke.
    await store.upsertChat({ userId: "u", chatId, messages: [...turn.messages, responseMessage] });
    await database.query("delete from chat_store.turns where id = $1::uuid", [stored?.id]);
    await turn.persist.onEnd({ responseMessage });
    expect(await load(chatId)).toMatchObject({ version: 2, messages: [...turn.messages, responseMessage] });
  });

  test("an answer may have another id than the turn announced", async () => {
    const chatId = randomUUID();
    const question = say("user", "q1");
    await answer(await ask(chatId, question), "a1", "from the application");
    await answer(await ask(chatId, question, submit), "b1", "from the application, too");
    expect((await load(chatId))?.messages.map(({ id }) => id)).toEqual([question.id, "from the application, too"]);
  });

  test.each([
    ["line breaks and tabs", "How\n\tare  you? ", "How are you?"],
    ["a NUL", "a\u0000b", "a b"],
    ["half a surrogate pair", "a\ud800b", "a\ufffdb"],
    ["a surrogate pair at the cut", `${"x".repeat(999)}😀`, "x".repeat(999)],
    ["nothing but space", " \n ", ""],
  ])("the store cleans a title (%s)", async (_, title, expected) => {
    const turn = await ask(randomUUID(), say("user", "q1"), { title });
    expect(turn.chat.title).toBe(expected);
  });

  test("the store refuses a title that is no string", async () => {
    await expect(ask(randomUUID(), say("user", "q1"), { title: 5 as unknown as string })).rejects.toMatchObject({
      issues: [{ path: ["title"] }],
    });
  });

  test("a store on a transaction refuses to start a turn, whose answer would come after the transaction", async () => {
    const chatId = randomUUID();
    const attempt = database.db.transaction((tx) =>
      createChatStore(tx).startTurn({ userId: "u", chatId, message: say("user", "q1") }),
    );
    await expect(attempt).rejects.toMatchObject({ code: "INVALID_CHAT", issues: [{ path: ["db"] }] });
    expect(await load(chatId)).toBeNull();
  });
});

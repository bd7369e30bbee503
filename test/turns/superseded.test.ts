import { randomUUID } from "node:crypto";
import type { UIMessage } from "ai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ChatStore, Turn } from "../../src/index.ts";
import { toSseEvent } from "../../src/turns/sse-events.ts";
import { say, textOf } from "../support/conversations.ts";
import { databases, inModes, type TestDatabase } from "../support/databases.ts";
import { faultyDatabase } from "../support/faulty-database.ts";
import { underRowLevelSecurity } from "../support/row-level-security.ts";

/**
 * A later change wins: a turn whose question or answer has been continued, changed or removed takes nothing back. The table of who
 * supersedes whom is in docs/turns.md.
 */

const kinds = [...inModes(databases.slice(0, 2)), ...underRowLevelSecurity.slice(0, 1)];

describe.each(kinds)("A superseded turn on $name, $mode", ({ open, storeOn }) => {
  let database: TestDatabase;
  let store: ChatStore;
  beforeAll(async () => {
    database = await open();
    store = storeOn(database.db);
  });
  afterAll(() => database.close());

  const newIds = () => ({ userId: "u", chatId: randomUUID() });
  type Ids = ReturnType<typeof newIds>;
  const pay = (state: string, more: object = {}) =>
    ({ type: "tool-pay", toolCallId: "t1", state, input: { card: "4111" }, ...more }) as UIMessage["parts"][number];
  const requested = pay("approval-requested", { approval: { id: "p" } });
  const approved = pay("approval-responded", { approval: { id: "p", approved: true } });
  const paid = pay("output-available", { approval: { id: "p", approved: true }, output: "paid" });
  const text = (words: string) => ({ type: "text" as const, text: words });
  const message = (id: string, ...parts: UIMessage["parts"]): UIMessage => ({ id, role: "assistant", parts });
  const end = (turn: Turn, responseMessage: UIMessage) => turn.persist.onEnd({ responseMessage });
  const stored = async (ids: Ids) => (await store.getChat(ids))?.messages;
  const shown = async (ids: Ids) => (await stored(ids))?.map((message) => `${message.id} ${textOf(message)}`);

  /** The chunks become the turn's recording. */
  const record = (turn: Turn, ...chunks: object[]) => {
    const start = { type: "start", messageId: turn.persist.generateMessageId() };
    return turn.consumeSseStream({ stream: ReadableStream.from([start, ...chunks].map(toSseEvent)) });
  };
  const words = (delta: string) => [
    { type: "text-start", id: "1" },
    { type: "text-delta", id: "1", delta },
  ];
  /** Another page comes after the writer has given up, as it does when its save has failed, or has been silent for long. */
  const recover = async (ids: Ids) => {
    await database.query("update chat_store.turns set beat_at = 'epoch' where chat_id = $1", [ids.chatId]);
    const stream = await store.resumeTurn({ ...ids, version: 1 });
    await stream?.cancel();
  };
  /** A chat `q1 a1 q2` and the beginning of an answer to q2, which was recovered. */
  async function recoveredAnswer() {
    const ids = newIds();
    await store.upsertChat({ ...ids, messages: [say("user", "1?", "q1"), say("assistant", "1.", "a1")] });
    const turn = await store.startTurn({ ...ids, message: say("user", "2?", "q2") });
    await record(turn, ...words("SECRET "));
    await recover(ids);
    const id = turn.persist.generateMessageId();
    const beginning = (await stored(ids))?.at(-1) as UIMessage;
    expect(beginning).toMatchObject({ id, parts: [text("SECRET ")] });
    return { ids, turn, id, beginning, whole: message(id, text("SECRET and more")) };
  }

  test("a turn that was taken for dead stores its whole answer in place of the beginning", async () => {
    const { ids, turn, whole, id } = await recoveredAnswer();
    await end(turn, whole);
    expect(await shown(ids)).toEqual(["q1 1?", "a1 1.", "q2 2?", `${id} SECRET and more`]);
  });

  test("a turn that was taken for dead stores its answer after more than a minute, also when another question has come", async () => {
    const { ids, turn, whole, id } = await recoveredAnswer();
    await database.query("update chat_store.turns set ended_at = ended_at - interval '61 seconds' where chat_id = $1", [
      ids.chatId,
    ]);
    await store.startTurn({ ...ids, message: say("user", "3?", "q3") });
    await end(turn, whole);
    expect(await shown(ids)).toEqual(["q1 1?", "a1 1.", "q2 2?", `${id} SECRET and more`, "q3 3?"]);
  });

  test.each<[string, (ids: Ids) => Promise<unknown>]>([
    [
      "its question was edited and edited back",
      async (ids) => {
        await store.updateMessage({ ...ids, message: say("user", "Other?", "q1") });
        await store.updateMessage({ ...ids, message: say("user", "1?", "q1") });
      },
    ],
    [
      "its question was deleted and saved again",
      async (ids) => {
        await store.deleteMessage({ ...ids, messageId: "q1" });
        await store.upsertChat({ ...ids, messages: [say("user", "1?", "q1")] });
      },
    ],
  ])("a turn stores nothing after %s", async (_, change) => {
    const ids = newIds();
    const turn = await store.startTurn({ ...ids, message: say("user", "1?", "q1") });
    await change(ids);
    await expect(end(turn, message("a1", text("1.")))).rejects.toMatchObject({ code: "CHAT_CONFLICT" });
    expect(await shown(ids)).toEqual(["q1 1?"]);
  });

  const changes: Record<string, (ids: Ids, beginning: UIMessage) => Promise<unknown>> = {
    "updateMessage has redacted it": (ids, { id }) =>
      store.updateMessage({ ...ids, message: message(id, text("(redacted)")) }),
    "upsertChat has redacted it": async (ids, { id }) =>
      store.upsertChat({ ...ids, messages: (await stored(ids))?.with(3, message(id, text("(redacted)"))) ?? [] }),
    "upsertChat has rated it": async (ids, beginning) =>
      store.upsertChat({ ...ids, after: "q2", messages: [{ ...beginning, metadata: { rating: 1 } }] }),
    "deleteMessage has deleted it": (ids, { id }) => store.deleteMessage({ ...ids, messageId: id }),
    "deleteMessage has deleted it with all that follows": (ids, { id }) =>
      store.deleteMessage({ ...ids, messageId: id, following: true }),
    "deleteMessage has deleted its question and all that follows": (ids) =>
      store.deleteMessage({ ...ids, messageId: "q2", following: true }),
    "upsertChat has deleted it": async (ids) =>
      store.upsertChat({ ...ids, messages: (await stored(ids))?.slice(0, 3) ?? [] }),
    "an earlier question was edited": async (ids) =>
      store.startTurn({ ...ids, message: say("user", "1!", "q1"), trigger: "submit-message", messageId: "q1" }),
    "its question was asked again": async (ids) =>
      store.startTurn({ ...ids, message: say("user", "2?", "q2"), trigger: "regenerate-message" }),
    "an earlier question was answered anew": async (ids) =>
      end(
        await store.startTurn({ ...ids, message: say("user", "1?", "q1"), trigger: "regenerate-message" }),
        message("b1", text("1!")),
      ),
  };
  test.each(Object.entries(changes))("a late answer takes nothing back after %s", async (_, change) => {
    const { ids, turn, beginning, whole } = await recoveredAnswer();
    await change(ids, beginning);
    const before = await stored(ids);
    await expect(end(turn, whole)).rejects.toMatchObject({ code: "CHAT_CONFLICT" });
    expect(await stored(ids)).toEqual(before);
  });

  test("a repeated onEnd takes nothing back of a continuation, and an approved tool runs once", async () => {
    const ids = newIds();
    await store.upsertChat({ ...ids, messages: [say("user", "1?", "q1"), say("assistant", "1.", "a1")] });
    const turn = await store.startTurn({ ...ids, message: say("user", "pay", "q2") });
    const id = turn.persist.generateMessageId();
    await record(
      turn,
      { type: "tool-input-available", toolCallId: "t1", toolName: "pay", input: { card: "4111" } },
      { type: "tool-approval-request", toolCallId: "t1", approvalId: "p" },
      { type: "finish" },
    );
    // The save fails: "a1" is the id of another message. Then the page comes back, and the user approves.
    await expect(end(turn, message("a1", requested))).rejects.toMatchObject({ code: "INVALID_CHAT" });
    await (await store.resumeTurn(ids))?.cancel();
    expect((await stored(ids))?.at(-1)).toEqual(message(id, requested));
    const approve = () => store.startTurn({ ...ids, message: message(id, approved) });
    const continued = await approve();
    await expect(end(turn, message(id, requested))).rejects.toMatchObject({ code: "CHAT_CONFLICT" });
    const whole = message(id, paid, { type: "step-start" }, text("Done."));
    await end(continued, whole);
    await expect(end(turn, message(id, requested))).rejects.toMatchObject({ code: "CHAT_CONFLICT" });
    expect((await stored(ids))?.at(-1)).toEqual(whole);
    await expect(approve()).rejects.toMatchObject({ code: "CHAT_CONFLICT" });
  });

  test("a page is not told of an interruption once the recovered answer has been continued", async () => {
    const ids = newIds();
    const turn = await store.startTurn({ ...ids, message: say("user", "pay", "q1") });
    const id = turn.persist.generateMessageId();
    await record(
      turn,
      { type: "tool-input-available", toolCallId: "t1", toolName: "pay", input: { card: "4111" } },
      { type: "tool-approval-request", toolCallId: "t1", approvalId: "p" },
    );
    await recover(ids);
    const continued = await store.startTurn({ ...ids, message: message(id, approved) });
    await end(continued, message(id, paid, text("Done.")));
    const stream = await store.resumeTurn({ ...ids, version: 1 });
    expect(await new Response(stream).text()).not.toContain('"error"');
  });

  describe("A message that is edited while a turn continues it", () => {
    /** A turn that continues a message with an approved tool. */
    async function continuedMessage() {
      const ids = newIds();
      const asked = { ...message("a1", text("Card 4111. May I?"), requested), metadata: { model: "m" } };
      await store.upsertChat({ ...ids, messages: [say("user", "pay", "q1"), asked] });
      const turn = await store.startTurn({ ...ids, message: message("a1", ...asked.parts.with(1, approved)) });
      return { ids, turn, before: turn.messages.at(-1) as UIMessage };
    }
    const redacted = {
      metadata: { model: "m", rating: 1 },
      parts: [text("Card ****. May I?"), { ...approved, input: { card: "****" } }],
    };
    const editors: Record<string, (ids: Ids, edited: UIMessage) => Promise<unknown>> = {
      updateMessage: (ids, edited) => store.updateMessage({ ...ids, message: edited }),
      upsertChat: (ids, edited) => store.upsertChat({ ...ids, messages: [say("user", "pay", "q1"), edited] }),
      "upsertChat with after": (ids, edited) => store.upsertChat({ ...ids, after: "q1", messages: [edited] }),
    };

    test.each(Object.entries(editors))("keeps the edit of %s and gets what the turn adds", async (_, edit) => {
      const { ids, turn, before } = await continuedMessage();
      await edit(ids, { ...before, ...redacted } as UIMessage);
      const whole = message("a1", text("Card 4111. May I?"), paid, { type: "step-start" }, text("Done."));
      await end(turn, { ...whole, metadata: { model: "m", tokens: 7 } });
      expect((await stored(ids))?.at(-1)).toEqual({
        ...message(
          "a1",
          text("Card ****. May I?"),
          { ...paid, input: { card: "****" } } as UIMessage["parts"][number],
          { type: "step-start" },
          text("Done."),
        ),
        metadata: { model: "m", tokens: 7, rating: 1 },
      });
    });

    test("keeps the edit and gets what was recorded when the process of the turn dies", async () => {
      const { ids, turn, before } = await continuedMessage();
      await record(
        turn,
        { type: "tool-output-available", toolCallId: "t1", output: "paid" },
        { type: "start-step" },
        ...words("Do"),
      );
      await store.updateMessage({ ...ids, message: { ...before, ...redacted } as UIMessage });
      await recover(ids);
      const recovered = (await stored(ids))?.at(-1);
      expect(recovered?.metadata).toEqual(redacted.metadata);
      expect(recovered?.parts).toMatchObject([
        { text: "Card ****. May I?" },
        { state: "output-available", input: { card: "****" }, output: "paid" },
        { type: "step-start" },
        { text: "Do" },
      ]);
      // The process lived after all.
      await end(turn, message("a1", text("Card 4111. May I?"), paid, { type: "step-start" }, text("Done.")));
      expect((await stored(ids))?.at(-1)?.parts).toMatchObject([
        { text: "Card ****. May I?" },
        { state: "output-available", input: { card: "****" }, output: "paid" },
        { type: "step-start" },
        { text: "Done." },
      ]);
    });

    test.each([
      ["more parts", [text("Edited."), text("Card 4111. May I?"), approved]],
      ["fewer parts", [approved]],
    ])("keeps an edit with %s when the process of the turn is taken for dead and lives", async (_, parts) => {
      const { ids, turn, before } = await continuedMessage();
      const added = [{ type: "step-start" as const }, text("One."), { type: "step-start" as const }];
      await record(
        turn,
        { type: "tool-output-available", toolCallId: "t1", output: "paid" },
        { type: "start-step" },
        ...words("One."),
        { type: "text-end", id: "1" },
        { type: "start-step" },
        { type: "text-start", id: "2" },
        { type: "text-delta", id: "2", delta: "Tw" },
      );
      await store.updateMessage({ ...ids, message: { ...before, parts } });
      await recover(ids);
      await end(turn, message("a1", text("Card 4111. May I?"), paid, ...added, text("Two.")));
      expect((await stored(ids))?.at(-1)?.parts).toEqual([...parts.slice(0, -1), paid, ...added, text("Two.")]);
    });

    test("keeps the recorded result of its tool when its process is taken for dead, lives, and dies", async () => {
      const { ids, turn } = await continuedMessage();
      const revive = (assignment: string) =>
        database.query(
          `update chat_store.turns set ended_at = null, interrupted = false, ${assignment} where chat_id = $1`,
          [ids.chatId],
        );
      // Taken for dead before a word was recorded that counts.
      const result = { type: "tool-output-available", toolCallId: "t1", output: "paid" };
      await record(turn, { type: "start-step" }, ...words("One "), result, ...words("moment"));
      await database.query("update chat_store.turn_chunks set seq = seq + 10 where chat_id = $1 and seq > 0", [
        ids.chatId,
      ]);
      await recover(ids);
      await revive("beat_at = now()");
      await database.query("update chat_store.turn_chunks set seq = seq - 10 where chat_id = $1 and seq > 9", [
        ids.chatId,
      ]);
      await recover(ids);
      const recovered = (await stored(ids))?.at(-1);
      expect(recovered?.parts.slice(0, 2)).toMatchObject([
        { text: "Card 4111. May I?" },
        { state: "output-available" },
      ]);
      expect(textOf(recovered)).toBe("Card 4111. May I?One moment");
      await expect(
        store.startTurn({ ...ids, message: message("a1", text("Card 4111. May I?"), approved) }),
      ).rejects.toMatchObject({ code: "CHAT_CONFLICT" });
    });

    test("does not get a part back that the edit has removed", async () => {
      const { ids, turn, before } = await continuedMessage();
      await store.updateMessage({ ...ids, message: { ...before, parts: before.parts.slice(1) } });
      await end(turn, message("a1", text("Card 4111. May I?"), paid, text("Done.")));
      expect((await stored(ids))?.at(-1)?.parts).toEqual([paid, text("Done.")]);
    });
  });

  describe("An answer whose question was removed", () => {
    const answered = async (ids: Ids) =>
      store.upsertChat({ ...ids, messages: [say("user", "1?", "q1"), say("assistant", "1.", "a1")] });
    const regenerate = (ids: Ids, id: string, words: string) =>
      store.startTurn({ ...ids, message: say("user", words, id), trigger: "regenerate-message" });

    test("goes with it when both turns were running and its own has ended first", async () => {
      const ids = newIds();
      await answered(ids);
      const second = await store.startTurn({ ...ids, message: say("user", "2?", "q2") });
      const again = await regenerate(ids, "q1", "1?");
      await end(second, message(second.persist.generateMessageId(), text("2.")));
      await end(again, message("b1", text("1!")));
      expect(await shown(ids)).toEqual(["q1 1?", "b1 1!"]);
    });

    test("goes with it when its turn began after the one that removes it", async () => {
      const ids = newIds();
      await answered(ids);
      await store.upsertChat({ ...ids, after: "a1", messages: [say("user", "2?", "q2")] });
      const again = await regenerate(ids, "q1", "1?");
      const second = await regenerate(ids, "q2", "2?");
      await end(second, message(second.persist.generateMessageId(), text("2.")));
      await end(again, message("b1", text("1!")));
      expect(await shown(ids)).toEqual(["q1 1?", "b1 1!"]);
    });

    test("is not stored when the removing turn ends first", async () => {
      const ids = newIds();
      await answered(ids);
      const second = await store.startTurn({ ...ids, message: say("user", "2?", "q2") });
      const again = await regenerate(ids, "q1", "1?");
      await end(again, message("b1", text("1!")));
      await expect(end(second, message("a2", text("2.")))).rejects.toMatchObject({ code: "CHAT_CONFLICT" });
      expect(await shown(ids)).toEqual(["q1 1?", "b1 1!"]);
    });
  });

  describe("An answer that says nothing", () => {
    const provider = { providerMetadata: { openai: { itemId: "rs_1", reasoningEncryptedContent: "…" } } };
    test.each<[string, UIMessage["parts"]]>([
      ["no part", []],
      ["the beginning of a step", [{ type: "step-start" }]],
      ["the beginning of a text", [{ type: "step-start" }, { type: "text", text: "", state: "streaming" }]],
      ["a reasoning that is hidden", [{ type: "step-start" }, { type: "reasoning", text: "", ...provider }]],
      ["both", [{ type: "reasoning", text: "", ...provider }, { type: "step-start" }, text("")]],
    ])("replaces no other when it has %s", async (_, parts) => {
      const ids = newIds();
      await store.upsertChat({ ...ids, messages: [say("user", "1?", "q1"), say("assistant", "1.", "a1")] });
      const turn = await store.startTurn({ ...ids, message: say("user", "1?", "q1"), trigger: "regenerate-message" });
      await end(turn, message(turn.persist.generateMessageId(), ...parts));
      expect(await shown(ids)).toEqual(["q1 1?", "a1 1."]);
    });

    test("adds nothing to the message it continues, whose approval can be acted on again", async () => {
      const ids = newIds();
      await store.upsertChat({ ...ids, messages: [say("user", "pay", "q1"), message("a1", requested)] });
      const first = await store.startTurn({ ...ids, message: message("a1", approved) });
      await end(first, message("a1", approved, { type: "step-start" }, text("")));
      expect((await stored(ids))?.at(-1)).toEqual(message("a1", approved));
      const second = await store.startTurn({ ...ids, message: message("a1", approved) });
      await end(second, message("a1", paid));
      expect((await stored(ids))?.at(-1)).toEqual(message("a1", paid));
    });

    test("is in conflict with a later turn also when onEnd is called again", async () => {
      const ids = newIds();
      const first = await store.startTurn({ ...ids, message: say("user", "1?", "q1") });
      await store.startTurn({ ...ids, message: say("user", "1?", "q1"), trigger: "submit-message" });
      const empty = message(first.persist.generateMessageId());
      await expect(end(first, empty)).rejects.toMatchObject({ code: "CHAT_CONFLICT" });
      await expect(end(first, empty)).rejects.toMatchObject({ code: "CHAT_CONFLICT" });
      const words = message(first.persist.generateMessageId(), text("1."));
      await expect(end(first, words)).rejects.toMatchObject({ code: "CHAT_CONFLICT" });
    });

    test("is stored without a conflict when the confirmation of its save was lost", async () => {
      const ids = newIds();
      const faulty = faultyDatabase(database.db);
      const turn = await storeOn(faulty.db).startTurn({ ...ids, message: say("user", "1?", "q1") });
      const empty = message(turn.persist.generateMessageId());
      await expect(faulty.failing("after", () => end(turn, empty))).rejects.toMatchObject({ code: "QUERY_FAILED" });
      await end(turn, empty);
      expect(await shown(ids)).toEqual(["q1 1?"]);
    });
  });
});

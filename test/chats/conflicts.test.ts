// Projects: main, drivers. Long: postgres, drizzle.
import { randomUUID } from "node:crypto";
import type { UIMessage } from "ai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ChatConflictError, type ChatConflictReason, type ChatStore } from "../../src/index.ts";
import { conversation, say } from "../support/conversations.ts";
import type { TestDatabase } from "../support/databases.ts";
import { kinds } from "../support/kinds.ts";

/** The advice that a message gives, of which no other reason's message may hold any. */
const advice: Record<ChatConflictReason, RegExp> = {
  version: /apply your change to that, and save with its version/,
  superseded: /Do not retry: load the chat again to show the newer state/,
  gone: /Do not retry: (show that it is gone|load the chat again to show its present messages)/,
  approval: /Do not retry: load the chat again, or call resumeTurn, to show the answer of that turn/,
  "id-taken": /use another one, or check with getChat whether an earlier attempt made this chat/,
};

describe.each(kinds)("The reasons of conflicts on $name, $mode", ({ open, storeOn }) => {
  let database: TestDatabase;
  let store: ChatStore;
  beforeAll(async () => {
    database = await open();
    store = storeOn(database.db);
  });
  afterAll(() => database.close());

  async function newChat(messages: UIMessage[] = conversation(4)) {
    const ids = { userId: `user ${randomUUID()}`, chatId: `chat ${randomUUID()}` };
    await store.upsertChat({ ...ids, messages });
    return ids;
  }
  const answer = say("assistant", "SECRET answer");

  async function expectConflict(work: Promise<unknown>, reason: ChatConflictReason, facts: object) {
    const error: unknown = await work.then(
      () => undefined,
      (thrown) => thrown,
    );
    expect(error).toBeInstanceOf(ChatConflictError);
    const { message } = error as ChatConflictError;
    expect(error).toMatchObject({ code: "CHAT_CONFLICT", reason, ...facts });
    const given = Object.entries(advice).filter(([, pattern]) => pattern.test(message));
    expect(given.map(([name]) => name)).toEqual([reason]);
    expect(message).not.toContain("SECRET");
  }

  test("a change with another expectedVersion conflicts by its version", async () => {
    const ids = await newChat();
    const facts = { chatId: ids.chatId, expectedVersion: 7, actualVersion: 1 };
    const messages = [...conversation(4), answer];
    const stale = { ...ids, expectedVersion: 7 };
    await expectConflict(store.upsertChat({ ...stale, messages }), "version", facts);
    await expectConflict(store.upsertChat({ ...stale, messages: messages.toReversed() }), "version", facts);
    await expectConflict(store.upsertChat({ ...stale, after: "m3", messages: [answer] }), "version", facts);
    await expectConflict(store.updateMessage({ ...stale, message: say("user", "other", "m0") }), "version", facts);
    await expectConflict(store.deleteMessage({ ...stale, messageId: "m0" }), "version", facts);
  });

  test("a save with expectedVersion of a chat that does not exist finds it gone", async () => {
    const ids = await newChat();
    await store.deleteChat(ids);
    const facts = { chatId: ids.chatId, expectedVersion: 1, actualVersion: null };
    await expectConflict(store.upsertChat({ ...ids, messages: conversation(5), expectedVersion: 1 }), "gone", facts);
    const after = { ...ids, after: "m3", messages: [answer], expectedVersion: 1 };
    await expectConflict(store.upsertChat(after), "gone", facts);
  });

  test.each<[string, (ids: { userId: string; chatId: string }) => Promise<unknown>, number | null]>([
    ["the chat was deleted", (ids) => store.deleteChat(ids), null],
    ["all chats of the user were deleted", (ids) => store.deleteAllChats(ids), null],
    ["the question was deleted", (ids) => store.deleteMessage({ ...ids, messageId: "q" }), 3],
    ["a save left the question out", (ids) => store.upsertChat({ ...ids, messages: conversation(4) }), 3],
    [
      "an edit cut the question",
      (ids) =>
        store.startTurn({ ...ids, message: say("user", "edited", "m2"), trigger: "submit-message", messageId: "m2" }),
      3,
    ],
  ])("a turn finds its question gone after %s", async (_, change, actualVersion) => {
    const ids = await newChat();
    const turn = await store.startTurn({ ...ids, message: say("user", "And?", "q") });
    await change(ids);
    const facts = { chatId: ids.chatId, expectedVersion: 2, actualVersion };
    await expectConflict(turn.persist.onEnd({ responseMessage: answer }), "gone", facts);
    // Also when it tries again.
    await expectConflict(turn.persist.onEnd({ responseMessage: answer }), "gone", facts);
  });

  test.each<[string, (ids: { userId: string; chatId: string }, fail: () => Promise<void>) => Promise<unknown>, number]>(
    [
      ["another turn of its question", (ids) => store.startTurn({ ...ids, message: say("user", "And?", "q") }), 2],
      ["a change of its question", (ids) => store.updateMessage({ ...ids, message: say("user", "Other", "q") }), 3],
      [
        "a save that changed its question",
        (ids) => store.upsertChat({ ...ids, messages: [...conversation(4), say("user", "Other", "q")] }),
        3,
      ],
      ["fail", (_, fail) => fail(), 2],
    ],
  )("a turn is superseded by %s", async (_, change, actualVersion) => {
    const ids = await newChat();
    const turn = await store.startTurn({ ...ids, message: say("user", "And?", "q") });
    await change(ids, turn.fail);
    const facts = { chatId: ids.chatId, expectedVersion: 2, actualVersion };
    await expectConflict(turn.persist.onEnd({ responseMessage: answer }), "superseded", facts);
    expect((await store.getChat(ids))?.messages.map(({ id }) => id)).toEqual(["m0", "m1", "m2", "m3", "q"]);
  });

  test("a message whose approval another turn has acted on conflicts by the approval", async () => {
    const pay = (state: string, approval: object) => ({
      type: "tool-pay",
      toolCallId: "t",
      state,
      input: {},
      approval,
    });
    const waiting = { id: "a", role: "assistant", parts: [pay("approval-requested", { id: "p" })] } as UIMessage;
    const ids = await newChat([say("user", "Pay", "q"), waiting]);
    const approved = { ...waiting, parts: [pay("approval-responded", { id: "p", approved: true })] } as UIMessage;
    await store.startTurn({ ...ids, message: approved });
    const facts = { chatId: ids.chatId, expectedVersion: null, actualVersion: 2 };
    await expectConflict(store.startTurn({ ...ids, message: approved }), "approval", facts);
  });

  test("a turn finds the message that it continues gone after it was deleted", async () => {
    const ask = (state: string, more: object = {}) => ({
      type: "tool-ask",
      toolCallId: "t",
      state,
      input: {},
      ...more,
    });
    const waiting = { id: "a", role: "assistant", parts: [ask("input-available")] } as UIMessage;
    const message = { ...waiting, parts: [ask("output-available", { output: 1 })] } as UIMessage;
    const ids = await newChat([say("user", "Where?", "q"), waiting]);
    const turn = await store.startTurn({ ...ids, message, tools: { ask: {} } });
    await store.deleteMessage({ ...ids, messageId: "a" });
    const facts = { chatId: ids.chatId, expectedVersion: 2, actualVersion: 3 };
    await expectConflict(turn.persist.onEnd({ responseMessage: message }), "gone", facts);
  });

  test("a fork under the id of another chat of the user conflicts by the id", async () => {
    const ids = await newChat();
    const facts = { chatId: ids.chatId, expectedVersion: null, actualVersion: 1 };
    await expectConflict(store.forkChat({ ...ids, newChatId: ids.chatId }), "id-taken", facts);
  });
});

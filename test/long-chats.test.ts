// Projects: main, drivers, citus. Long: postgres, tables, sessions.
import { randomUUID } from "node:crypto";
import type { UIMessage } from "ai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  ChatConflictError,
  type ChatStore,
  type GetMessagesInput,
  InvalidChatError,
  type UpsertChatInput,
} from "../src/index.ts";
import { conversation, say } from "./support/conversations.ts";
import type { TestDatabase } from "./support/databases.ts";
import { kinds } from "./support/kinds.ts";

describe.each(kinds)("long chats on $name, $mode", ({ open, storeOn }) => {
  let database: TestDatabase;
  let store: ChatStore;
  beforeAll(async () => {
    database = await open();
    store = storeOn(database.db);
  });
  afterAll(() => database.close());

  const newChat = async (messages: UIMessage[] = conversation(30)) => {
    const ids = { userId: `user ${randomUUID()}`, chatId: `chat ${randomUUID()}` };
    const chat = await store.upsertChat({ ...ids, title: "Tides", messages });
    return { ids, chat, messages };
  };
  const stored = (chatId: string) =>
    database.query(
      'select id, "order", role, parts::text, metadata::text, xmin::text from chat_store.messages where chat_id = $1 order by "order"',
      [chatId],
    );
  /** Roles as their first letters. */
  const spoken = (roles: string) =>
    [...roles].map((letter, index) =>
      say(letter === "u" ? "user" : letter === "a" ? "assistant" : "system", `${index}`, `m${index}`),
    );

  describe("getMessages", () => {
    /** From the end to the beginning, in pages. */
    async function pages(input: GetMessagesInput) {
      const all: UIMessage[][] = [];
      for (let before: string | undefined; ; ) {
        const page = await store.getMessages({ ...input, before });
        if (!page) return all;
        all.unshift(page.messages);
        if (!page.hasMore) return all;
        before = page.messages[0]?.id;
      }
    }

    test.each([
      "",
      "u",
      "ua",
      "s",
      "sua",
      "suauauaua",
      "uaaaauaaauaaaaaaaaaaua",
      "aaaaaaaaa",
      "uuuuuuu",
      "uauauauauauauauauauaua",
    ])("pages have at most limit messages and together make up the chat (%s)", async (roles) => {
      const { ids, chat, messages } = await newChat(spoken(roles));
      for (const limit of [1, 2, 3, 5, 100, Number.MAX_SAFE_INTEGER]) {
        expect(await store.getMessages({ ...ids, limit })).toEqual({
          chat,
          messages: messages.slice(-limit),
          sentAt: messages.slice(-limit).map(() => expect.any(Date)),
          hasMore: limit < messages.length,
        });
        const all = await pages({ ...ids, limit });
        expect(all.flat()).toEqual(messages);
        // All but the first, which has what is left.
        for (const page of all.slice(1)) expect(page).toHaveLength(limit);
      }
    });

    test("getMessages returns the content of a message as getChat does", async () => {
      const odd: UIMessage = {
        id: "odd",
        role: "user",
        metadata: null,
        parts: [{ type: "text", text: 'NUL \u0000, half \ud83d, "quote"' }],
      };
      const { ids } = await newChat([...conversation(4), odd]);
      const { messages = [] } = (await store.getChat(ids)) ?? {};
      expect((await store.getMessages({ ...ids, limit: 1 }))?.messages).toStrictEqual(messages.slice(-1));
    });

    test("a page gives the time at which each of its messages was first stored", async () => {
      const { ids, messages } = await newChat(conversation(9));
      const times = messages.map((_, index) => Date.parse("2026-02-03T04:05:06.789Z") - index * 86_400_001);
      for (const [index, { id }] of messages.entries()) {
        await database.query(
          "update chat_store.messages set created_at = timestamptz 'epoch' + $3::float8 * interval '1 ms' where chat_id = $1 and id = $2",
          [ids.chatId, id, times[index]],
        );
      }
      const timesOf = async (chatId: string, before?: string) =>
        (await store.getMessages({ ...ids, chatId, limit: 4, before }))?.sentAt.map((date) => date.getTime());
      expect(await timesOf(ids.chatId)).toEqual(times.slice(5));
      expect(await timesOf(ids.chatId, "m5")).toEqual(times.slice(1, 5));
      expect(await timesOf(ids.chatId, "m1")).toEqual(times.slice(0, 1));
      expect(await timesOf(ids.chatId, "m0")).toEqual([]);
      // As it was first stored: whatever changes a message keeps its time, and a fork takes it along.
      await store.updateMessage({ ...ids, message: say("user", "edited", "m6") });
      await store.upsertChat({ ...ids, messages: messages.with(7, say("assistant", "edited", "m7")) });
      await store.upsertChat({ ...ids, after: "m7", messages: [say("user", "edited", "m8")] });
      expect(await timesOf(ids.chatId)).toEqual(times.slice(5));
      await store.startTurn({ ...ids, message: say("user", "edited again", "m8") });
      expect(await timesOf(ids.chatId)).toEqual(times.slice(5));
      const newChatId = `chat ${randomUUID()}`;
      await store.forkChat({ ...ids, newChatId });
      expect(await timesOf(newChatId)).toEqual(times.slice(5));
      expect(await store.getChat(ids)).not.toHaveProperty("sentAt");
    });

    test("a page keeps its messages while the chat grows, and lacks a deleted message", async () => {
      const { ids, messages } = await newChat();
      const before = "m20";
      const page = await store.getMessages({ ...ids, limit: 4, before });
      expect(page?.messages).toEqual(messages.slice(16, 20));
      await store.upsertChat({
        ...ids,
        messages: [...messages, ...spoken("ua").map((m) => ({ ...m, id: `new ${m.id}` }))],
      });
      expect((await store.getMessages({ ...ids, limit: 4, before }))?.messages).toEqual(page?.messages);
      await store.deleteMessage({ ...ids, messageId: "m17" });
      expect((await store.getMessages({ ...ids, limit: 3, before }))?.messages).toEqual(
        [messages[14], messages[15], messages[16], messages[18], messages[19]].slice(2),
      );
    });

    test("getMessages refuses a page before a missing message", async () => {
      const { ids } = await newChat();
      const paging = store.getMessages({ ...ids, limit: 4, before: "gone" });
      await expect(paging).rejects.toThrow(InvalidChatError);
      await expect(paging).rejects.toMatchObject({ issues: [{ path: ["before"] }] });
    });

    test("getMessages returns null for another user's chat and for a missing one, before any message", async () => {
      const { ids } = await newChat();
      for (const before of [undefined, "m20", "gone"]) {
        expect(await store.getMessages({ ...ids, userId: "stranger", limit: 4, before })).toBeNull();
        expect(await store.getMessages({ ...ids, chatId: "none", limit: 4, before })).toBeNull();
      }
    });
  });

  describe("a turn in a window", () => {
    test.each([
      // The stored roles, the limit, and what the model is given; "q" is the question.
      ["", 1, ["q"]],
      ["uaua", 1, ["q"]],
      ["uaua", 2, ["q"]],
      ["uaua", 3, ["m2", "m3", "q"]],
      ["uaua", 4, ["m2", "m3", "q"]],
      ["uaua", 5, ["m0", "m1", "m2", "m3", "q"]],
      ["uaua", Number.MAX_SAFE_INTEGER, ["m0", "m1", "m2", "m3", "q"]],
      ["uaaaaa", 4, ["q"]],
      ["uuu", 2, ["m2", "q"]],
      ["sua", 4, ["m1", "m2", "q"]],
      ["aaau", 3, ["m3", "q"]],
    ])("after %s, a turn with limit %i gives the model %j", async (roles, limit, shown) => {
      const { ids, messages } = await newChat(spoken(roles));
      const turn = await store.startTurn({ ...ids, message: say("user", "And?", "q"), limit });
      expect(turn.messages.map(({ id }) => id)).toEqual(shown);
      expect(turn.messages).toEqual([...messages, say("user", "And?", "q")].slice(-shown.length));
      const answer = say("assistant", "So.", turn.persist.generateMessageId());
      await turn.persist.onEnd({ responseMessage: answer });
      expect((await store.getChat(ids))?.messages).toEqual([...messages, say("user", "And?", "q"), answer]);
      expect((await stored(ids.chatId)).map(({ order }) => order)).toEqual(
        Array.from({ length: messages.length + 2 }, (_, index) => index),
      );
      // Asked again, its answer is no part of the window.
      const again = await store.startTurn({ ...ids, message: say("user", "And?", "q"), limit });
      expect(again.messages.map(({ id }) => id)).toEqual(shown);
    });

    test.each([
      ["m", 1, ["m2"]],
      ["m", 3, ["m0", "m1", "m2"]],
      ["e", 1, ["m2"]],
      ["e", 2, ["m2"]],
    ])(
      "a window ends at an earlier question that is asked again or edited (%s, limit %i)",
      async (kind, limit, shown) => {
        const { ids, messages } = await newChat(conversation(8));
        const question = kind === "m" ? (messages[2] as UIMessage) : say("user", "Edited", "m2");
        const turn = await store.startTurn({ ...ids, message: question, limit });
        expect(turn.messages.map(({ id }) => id)).toEqual(shown);
        expect(turn.messages.at(-1)).toEqual(question);
        const answer = say("assistant", "So.", turn.persist.generateMessageId());
        await turn.persist.onEnd({ responseMessage: answer });
        expect((await store.getChat(ids))?.messages).toEqual([...messages.slice(0, 2), question, answer]);
      },
    );

    test.each([
      ["uaua", 1, ["tool"]],
      ["uaua", 2, ["m3", "tool"]],
      ["uaua", 3, ["m2", "m3", "tool"]],
      ["uaua", 4, ["m2", "m3", "tool"]],
      ["uaua", 5, ["m0", "m1", "m2", "m3", "tool"]],
      ["saaa", 3, ["m2", "m3", "tool"]],
    ])("after %s, a turn with limit %i that continues an answer gives the model %j", async (roles, limit, shown) => {
      const tool = (state: string, more: object = {}) =>
        ({
          id: "tool",
          role: "assistant",
          parts: [{ type: "tool-ask", toolCallId: "t", state, input: {}, ...more }],
        }) as UIMessage;
      const { ids, messages } = await newChat([...spoken(roles), tool("input-available")]);
      const message = tool("output-available", { output: 1 });
      const turn = await store.startTurn({ ...ids, message, limit, tools: { ask: {} } });
      expect(turn.messages.map(({ id }) => id)).toEqual(shown);
      const answer = { ...message, parts: [...message.parts, { type: "text" as const, text: "So." }] };
      await turn.persist.onEnd({ responseMessage: answer });
      expect((await store.getChat(ids))?.messages).toEqual([...messages.slice(0, -1), answer]);
    });
  });

  describe("upsertChat after a message", () => {
    const more = spoken("ua").map((message) => ({ ...message, id: `new ${message.id}` }));

    test("upsertChat replaces the messages after the given one, and leaves those before it untouched", async () => {
      const { ids, chat, messages } = await newChat();
      const before = await stored(ids.chatId);
      const saved = await store.upsertChat({ ...ids, after: "m9", messages: more });
      expect(saved).toMatchObject({ title: "Tides", version: chat.version + 1 });
      expect(await store.getChat(ids)).toEqual({ ...saved, messages: [...messages.slice(0, 10), ...more] });
      expect((await stored(ids.chatId)).slice(0, 10)).toEqual(before.slice(0, 10));
    });

    test.each<[string, (messages: UIMessage[]) => UIMessage[]]>([
      ["two appended", (following) => [...following, ...more]],
      [
        "one changed",
        (following) => following.with(3, { ...following[3], parts: [{ type: "text", text: "Other" }] } as UIMessage),
      ],
      ["one put in between", (following) => following.toSpliced(2, 0, ...more)],
      ["one left out", (following) => following.toSpliced(2, 1)],
      ["another order", (following) => following.toReversed()],
      ["all removed", () => []],
    ])("the messages after the given one become exactly the new ones: %s", async (_, change) => {
      const { ids, messages } = await newChat();
      const following = change(messages.slice(20));
      await store.upsertChat({ ...ids, after: "m19", messages: following, title: "Moon" });
      expect(await store.getChat(ids)).toMatchObject({
        title: "Moon",
        version: 2,
        messages: [...messages.slice(0, 20), ...following],
      });
      expect((await stored(ids.chatId)).map(({ order }) => order)).toEqual(
        [...messages.slice(0, 20), ...following].map((_, index) => index),
      );
    });

    test("upsertChat after a message writes nothing when nothing changes", async () => {
      const { ids, chat, messages } = await newChat();
      const before = await stored(ids.chatId);
      const same: Omit<UpsertChatInput, "userId" | "chatId"> = { after: "m19", messages: messages.slice(20) };
      expect(await store.upsertChat({ ...ids, ...same })).toEqual(chat);
      expect(await store.upsertChat({ ...ids, ...same, title: "Tides", expectedVersion: 7 })).toEqual(chat);
      expect(await stored(ids.chatId)).toEqual(before);
      expect(await store.upsertChat({ ...ids, ...same, title: "Moon" })).toMatchObject({ title: "Moon", version: 2 });
      expect(await stored(ids.chatId)).toEqual(before);
    });

    test("upsertChat refuses input that does not fit the stored chat, and changes nothing", async () => {
      const { ids, messages } = await newChat();
      const before = await store.getChat(ids);
      const refused = async (input: Partial<UpsertChatInput>, error: object) => {
        const saving = store.upsertChat({ ...ids, after: "m19", messages: more, ...input });
        await expect(saving).rejects.toMatchObject(error);
        expect(await store.getChat(ids)).toEqual(before);
      };
      const invalid = (...path: (string | number)[]) => ({ code: "INVALID_CHAT", issues: [{ path }] });
      await refused({ after: "gone" }, invalid("after"));
      await refused({ userId: "stranger" }, invalid("after"));
      await refused({ messages: [...more, ...messages.slice(3, 4)] }, invalid("messages", 2, "id"));
      await refused({ messages: messages.slice(19) }, invalid("messages", 0, "id"));
      await refused({ expectedVersion: 7 }, { code: "CHAT_CONFLICT", actualVersion: 1 });
      await refused({ after: "gone", expectedVersion: 7 }, { code: "CHAT_CONFLICT", actualVersion: 1 });
      await refused({ userId: "stranger", expectedVersion: 1 }, { code: "CHAT_CONFLICT", actualVersion: null });
      const creating = store.upsertChat({ ...ids, chatId: "none", after: "m19", messages: more });
      await expect(creating).rejects.toThrow(InvalidChatError);
      expect(await store.getChat({ ...ids, chatId: "none" })).toBeNull();
    });

    test("a page that is saved as the whole chat deletes the other messages", async () => {
      const { ids, messages } = await newChat();
      const page = await store.getMessages({ ...ids, limit: 4 });
      const [first, ...rest] = page?.messages ?? [];
      await store.upsertChat({ ...ids, after: first?.id, messages: [...rest, ...more] });
      expect((await store.getChat(ids))?.messages).toEqual([...messages, ...more]);
      await store.upsertChat({ ...ids, messages: [...rest, ...more] });
      expect((await store.getChat(ids))?.messages).toEqual([...rest, ...more]);
    });

    test("one of several concurrent saves that expect the same version succeeds", async () => {
      const { ids, chat } = await newChat();
      const saving = Array.from({ length: 5 }, (_, index) =>
        store.upsertChat({ ...ids, after: "m19", messages: [say("user", `${index}`)], expectedVersion: chat.version }),
      );
      const outcomes = await Promise.allSettled(saving);
      expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
      for (const outcome of outcomes) {
        if (outcome.status === "rejected") expect(outcome.reason).toBeInstanceOf(ChatConflictError);
      }
      expect(await store.getChat(ids)).toMatchObject({ version: 2, messages: { length: 21 } });
    });
  });
});

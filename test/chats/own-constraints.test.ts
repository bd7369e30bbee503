// Projects: main, drivers. Long: postgres.
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ChatStore, isRetryable } from "../../src/index.ts";
import { conversation, say } from "../support/conversations.ts";
import type { TestDatabase } from "../support/databases.ts";
import { kinds } from "../support/kinds.ts";

describe.each(kinds)("a unique constraint of the application on chats, on $name, $mode", ({ open, storeOn }) => {
  let database: TestDatabase;
  let store: ChatStore;
  beforeAll(async () => {
    database = await open();
    store = storeOn(database.db);
    await database.query("create unique index one_title on chat_store.chats (user_id, title)");
  });
  afterAll(() => database.close());

  const userId = "u";
  const title = "Tides";
  const chatId = "first";
  const calls: Record<string, (newChatId: string) => Promise<unknown>> = {
    forkChat: (newChatId) => store.forkChat({ userId, chatId, newChatId }),
    "upsertChat of a short chat": (chatId) => store.upsertChat({ userId, chatId, title, messages: conversation(2) }),
    "upsertChat of a long chat": (chatId) =>
      store.upsertChat({ userId, chatId, title, messages: conversation(9, 500) }),
    "upsertChat of an empty chat": (chatId) => store.upsertChat({ userId, chatId, title, messages: [] }),
    startTurn: (chatId) => store.startTurn({ userId, chatId, title, message: say("user", "Why?") }),
  };

  test.each(Object.entries(calls))("%s fails with the violation, and not as overtaken by others", async (_, call) => {
    await store.upsertChat({ userId, chatId, title, messages: conversation(2) });
    const error: unknown = await call(randomUUID()).then(
      () => expect.fail(),
      (error) => error,
    );
    expect(error).toMatchObject({ code: "QUERY_FAILED", message: expect.stringContaining("23505") });
    expect(isRetryable(error)).toBe(false);
    expect(await store.getChats({ userId })).toMatchObject([{ id: chatId }]);
  });
});

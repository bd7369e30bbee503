// Projects: main, drivers. Long: postgres, tables, sessions.
import { deepStrictEqual } from "node:assert/strict";
import type { ToolUIPart, UIMessage } from "ai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Chat, createChatStore } from "../../src/index.ts";
import { databases, databasesWithoutTransactions, type TestDatabase } from "../support/databases.ts";
import { conversations, model, text, turn, user } from "../support/sdk-messages.ts";

describe.each([...databases, ...databasesWithoutTransactions])("Conversations on $name", ({ open }) => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await open();
  });

  afterAll(() => database?.close());

  describe.each(conversations.map(({ name, messages }) => [name, messages] as const))("%s", (chatId, make) => {
    let messages: UIMessage[];
    let saved: Chat;

    const load = async () => {
      const chat = await createChatStore(database.db).getChat({ userId: "user", chatId });
      return chat?.messages ?? expect.fail("The chat is gone.");
    };

    beforeAll(async () => {
      messages = await make();
      saved = await createChatStore(database.db).upsertChat({ userId: "user", chatId, messages });
    });

    test("the store returns the messages exactly as JSON carries them", async () => {
      const carried = messages.map(({ id, role, metadata, parts }) => ({ id, role, metadata, parts }));
      // Not vitest's: a key named "constructor" confuses it.
      deepStrictEqual(await load(), JSON.parse(JSON.stringify(carried)));
    });

    test("the database holds the messages byte for byte as JSON.stringify writes them", async () => {
      const rows = await database.query(
        `select id, "order", role, parts::text as parts, metadata::text as metadata
         from chat_store.messages where chat_id = $1 order by "order"`,
        [chatId],
      );
      expect(rows).toStrictEqual(
        messages.map(({ id, role, metadata, parts }, order) => ({
          id,
          order,
          role,
          parts: JSON.stringify(parts),
          metadata: metadata === undefined ? null : JSON.stringify(metadata),
        })),
      );
    });

    // What JSON.stringify once wrote it writes again after JSON.parse: the one exception is a number from JSON.rawJSON,
    // such as 1.0, which no message of the SDK holds.
    test("a second save, of the same or of the loaded messages, changes nothing", async () => {
      const store = createChatStore(database.db);
      expect(await store.upsertChat({ userId: "user", chatId, messages })).toStrictEqual(saved);
      expect(await store.upsertChat({ userId: "user", chatId, messages: await load() })).toStrictEqual(saved);
    });

    test("the SDK sends the model the same prompts for the loaded messages as for the original ones", async () => {
      const nextTurn = async (history: UIMessage[]) => {
        // An answered approval is acted on at once, everything else waits for the user.
        const answered = history.at(-1)?.parts.some((part) => "state" in part && part.state === "approval-responded");
        const next = model([text("And now this.")]);
        const after = await turn(answered ? history : [...history, user("And now?")], next);
        expect(after.at(-1)?.parts.at(-1)).toMatchObject({ type: "text", text: "And now this.", state: "done" });
        return next.doStreamCalls.map(({ prompt }) => prompt);
      };
      expect(await nextTurn(await load())).toEqual(await nextTurn(messages));
    });
  });
});

// Records, so that the compiler asks for what a later SDK adds.
const partKinds: Record<Exclude<UIMessage["parts"][number]["type"], `tool-${string}` | `data-${string}`>, true> = {
  text: true,
  reasoning: true,
  "reasoning-file": true,
  file: true,
  "source-url": true,
  "source-document": true,
  "dynamic-tool": true,
  "step-start": true,
  "steering-message": true,
  custom: true,
};
const toolStates: Record<ToolUIPart["state"], true> = {
  "input-streaming": true,
  "input-available": true,
  "approval-requested": true,
  "approval-responded": true,
  "output-available": true,
  "output-error": true,
  "output-denied": true,
};

test("the conversations hold every kind of part and every tool state that the SDK has", async () => {
  const parts = (await Promise.all(conversations.map(({ messages }) => messages())))
    .flat()
    .flatMap(({ parts }) => parts);
  expect(parts.map(({ type }) => type)).toEqual(expect.arrayContaining([...Object.keys(partKinds), "data-chart"]));
  expect(parts.map((part) => "state" in part && part.state)).toEqual(expect.arrayContaining(Object.keys(toolStates)));
});

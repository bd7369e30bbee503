// Isolated: it watches the console.
import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as ai7 from "ai";
import { MockLanguageModelV4 } from "ai/test";
import * as ai5 from "ai5";
import { MockLanguageModelV2 } from "ai5/test";
import * as ai6 from "ai6";
import { MockLanguageModelV3 } from "ai6/test";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { createChatStore } from "../src/index.ts";
import { say } from "./support/conversations.ts";
import { databases, type TestDatabase } from "./support/databases.ts";
import { temporaryFolder } from "./support/folder.ts";
import { dataSchemas, metadataSchema, oldMessages, tools } from "./support/old-messages.ts";
import { blocksOf } from "./support/pages.ts";

const [database] = databases as [(typeof databases)[number]];
const folder = temporaryFolder("old-messages");

const [block] = blocksOf("docs/turns.md").filter(({ note }) => note === "old messages");
const recipe = block?.text ?? "";
/** For an application that converts data parts and looks at metadata. */
const strictRecipe = recipe
  .replace("tools as object }", "tools as object, dataSchemas, metadataSchema } as never")
  .replace("{ tools }", "{ dataSchemas, metadataSchema, tools }");

type Message = ai7.UIMessage;
type Readable = (message: Message) => Promise<Message>;

/** What the model gets of the messages that fit no version. */
const unfit = {
  "ai 4: a tool's result": "21 degrees.",
  "ai 4: a tool call without a result": "Let me look.",
  "ai 4: a tool call that was cut off": "",
  "ai 4: reasoning": "Because.",
  "ai 4: a source": "It says so.",
  "ai 4: a generated file": "",
  "ai 4: the role data": "31 people are here",
  "a removed tool without a result": "I search.",
  "a tool whose input has changed": "Let me look.\n\n21 degrees.",
  "a tool whose output has changed": "All lead there.",
  "a part of an unknown type": "See:",
  "a part without a type": "Really, why?",
  "no parts": "",
  "parts that are no objects": "Because.",
  "texts that are none": "\n\nWhy?",
  "an unknown role": "done",
};
const unfitForAi6 = {
  ...unfit,
  "ai 7: reasoning in a file": "As I have drawn.",
  "ai 7: content of a provider's own": "In short: tides.",
};
const unfitForAi5 = { ...unfitForAi6, "ai 6: an approval for a dynamic tool": "Well." };
const unfitForAi7 = { ...unfit, "a file without an address": "Here you are." };
/** Besides, if data and metadata are looked at. */
const unfitForSchemas = {
  "data of another shape": "Done.",
  "data that is no longer declared": "See above.",
  "metadata of another shape": "Because.",
};

const content = [{ type: "text" as const, text: "The moon." }];
const flatUsage = { inputTokens: 1, outputTokens: 1, totalTokens: 2 };
const usage = { inputTokens: { total: 1 }, outputTokens: { total: 1 } };
const answer = { content, warnings: [] };

// As far as this test calls them, all three are alike.
const versions = [
  {
    name: "ai 5",
    from: "ai5",
    ai: ai5 as unknown as typeof ai7,
    model: () =>
      new MockLanguageModelV2({ doGenerate: { ...answer, finishReason: "stop", usage: flatUsage } as never }) as never,
    unfit: unfitForAi5,
    // It knows the states of approvals, but has no results for them.
    withoutResult: ["ai 6: an approval that was denied", "ai 6: an approval that nobody answered"],
  },
  {
    name: "ai 6",
    from: "ai6",
    ai: ai6 as unknown as typeof ai7,
    model: () =>
      new MockLanguageModelV3({
        doGenerate: { ...answer, finishReason: { unified: "stop" }, usage } as never,
      }) as never,
    unfit: unfitForAi6,
    withoutResult: [],
  },
  {
    name: "ai 7",
    from: "ai",
    ai: ai7,
    model: () =>
      new MockLanguageModelV4({ doGenerate: { ...answer, finishReason: { unified: "stop" }, usage } as never }),
    unfit: unfitForAi7,
    withoutResult: [],
  },
];

const asWritten = oldMessages as Message[];
const question = say("user", "And now?") as Message;

/** The calls in what the model is given that have no result there. */
function callsWithoutResult(messages: ai7.ModelMessage[]): string[] {
  type Part = { type: string; toolCallId: string; toolName: string };
  const parts = messages.flatMap(({ content }) => (typeof content === "string" ? [] : (content as Part[])));
  const results = new Set(parts.flatMap((part) => (part.type === "tool-result" ? [part.toolCallId] : [])));
  return parts.flatMap((part) => (part.type === "tool-call" && !results.has(part.toolCallId) ? [part.toolName] : []));
}

/** What the store keeps of a message. */
const storedAs = (messages: typeof oldMessages) =>
  messages.map(({ id, role, metadata, parts }) => ({ id, role, ...(metadata ? { metadata } : {}), parts }));

function freeze<Value>(value: Value): Value {
  if (typeof value === "object" && value !== null) Object.values(Object.freeze(value)).map(freeze);
  return value;
}

let opened: TestDatabase;
beforeAll(async () => {
  opened = await database.open();
});
afterAll(() => opened.close());

beforeAll(async () => {
  await writeFile(join(folder, "chat.ts"), 'export * from "../../test/support/old-messages.ts";\n');
});

test("the recipe is ten lines long", () => {
  const lines = recipe.split("\n").filter((line) => line !== "" && !line.startsWith("import "));
  expect(lines).toHaveLength(10);
  expect(strictRecipe).not.toBe(recipe);
});

describe.each(versions)("old messages with $name", ({ from, ai, model, unfit, withoutResult }) => {
  let readable: Readable;
  let strictlyReadable: Readable;
  beforeAll(async () => {
    const load = async (file: string, text: string): Promise<Readable> => {
      const path = join(folder, `${file}-${from}.ts`);
      await writeFile(path, text.replace('from "ai"', `from "${from}"`));
      return (await import(/* @vite-ignore */ path)).readable;
    };
    readable = await load("as-printed", recipe);
    strictlyReadable = await load("strict", strictRecipe);
  });
  beforeEach(() => {
    vi.spyOn(console, "warn").mockImplementation(() => {});
    // ai 7 warns of `rawInput`.
    globalThis.AI_SDK_LOG_WARNINGS = false;
  });
  afterEach(() => {
    vi.restoreAllMocks();
    globalThis.AI_SDK_LOG_WARNINGS = undefined;
  });

  /** The ids of the messages that were reported. Nothing that was said is among it. */
  const reported = () =>
    vi.mocked(console.warn).mock.calls.map((call) => /^Message (.*) no longer fits: [a-z ]*$/.exec(call.join())?.[1]);

  const convert = async (messages: Message[]) =>
    ai.convertToModelMessages(messages, { tools, ignoreIncompleteToolCalls: true } as never);
  const accepts = (message: Message, schemas: object = {}) =>
    ai.safeValidateUIMessages({ messages: [message], tools, ...schemas } as never).then(({ success }) => success);

  test("the SDK refuses the whole chat for any question", async () => {
    await expect(ai.validateUIMessages({ messages: [...asWritten, question], tools } as never)).rejects.toThrow();
  });

  const kinds: { by: string; recipe: () => Readable; schemas: object; unfit: Record<string, string> }[] = [
    { by: "tools", recipe: () => readable, schemas: {}, unfit },
    {
      by: "tools, data and metadata",
      recipe: () => strictlyReadable,
      schemas: { dataSchemas, metadataSchema },
      unfit: { ...unfit, ...unfitForSchemas },
    },
  ];
  test.each(kinds)("the recipe checks $by, keeps messages that fit, and reduces others to text", async (kind) => {
    const stored = freeze(structuredClone(asWritten));
    const given = await Promise.all(stored.map((message) => kind.recipe()(message)));

    const replaced = stored.filter((message, index) => given[index] !== message);
    expect(replaced.map(({ id }) => id).sort()).toEqual(Object.keys(kind.unfit).sort());
    expect(reported().sort()).toEqual(Object.keys(kind.unfit).sort());
    for (const message of stored) {
      if (await accepts(message, kind.schemas)) {
        // The validator does not see everything that breaks a turn.
        if (replaced.includes(message)) await expect(convert([message])).rejects.toThrow();
      } else expect(replaced).toContain(message);
    }

    for (const standIn of given.filter(({ id }) => id in kind.unfit)) {
      const { role } = stored.find(({ id }) => id === standIn.id) as Message;
      const said = kind.unfit[standIn.id];
      const text = `${said ? `${said}\n\n` : ""}(The rest of this message can no longer be read.)`;
      const parts = [{ type: "text", text }];
      expect(standIn).toEqual({ id: standIn.id, role: role === "user" ? "user" : "assistant", parts });
      expect(await accepts(standIn, { dataSchemas, metadataSchema })).toBe(true);
    }
  });

  test("the model accepts every old message, and every tool call has its result", async () => {
    const unpaired = [];
    for (const message of asWritten) {
      const messages = await convert([await readable(message), question]);
      if (callsWithoutResult(messages).length > 0) unpaired.push(message.id);
      for (const converted of messages) expect(ai.modelMessageSchema.safeParse(converted).error).toBeUndefined();
    }
    expect(unpaired).toEqual(withoutResult);
  });

  test("the recipe replaces parts that are no array by text", async () => {
    for (const parts of [null, {}, "text", { type: "text", text: "Why?" }]) {
      const given = await readable({ id: "odd", role: "user", parts } as never);
      expect(given).toMatchObject({ id: "odd", role: "user", parts: [{ type: "text" }] });
    }
  });

  test("a turn stores its answer, and the old messages stay unchanged", async () => {
    const store = createChatStore(opened.db);
    const ids = { userId: "ada", chatId: randomUUID() };
    await store.upsertChat({ ...ids, messages: asWritten });

    const turn = await store.startTurn({ ...ids, message: question, trigger: "submit-message", tools });
    const given = await Promise.all(turn.messages.map(readable));
    expect(given.at(-1)).toBe(turn.messages.at(-1));
    expect(reported().sort()).toEqual(Object.keys(unfit).sort());
    expect(turn.persist.originalMessages).toEqual([...storedAs(oldMessages), question]);

    // Instructions among the messages are what ai 7 refuses.
    const messages = (await convert(given)).filter(({ role }) => role !== "system");
    const { text } = await ai.generateText({ model: model(), messages, tools } as never);
    await turn.persist.onEnd({
      responseMessage: { id: "answer", role: "assistant", parts: [{ type: "text", text }] },
    });

    expect((await store.getChat(ids))?.messages).toEqual([
      ...storedAs(oldMessages),
      question,
      { id: "answer", role: "assistant", parts: content },
    ]);
  });
});

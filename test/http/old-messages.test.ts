import type { ToolSet, UIMessage } from "ai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chunksOf, question, textIn } from "../support/chat-handler.ts";
import { say } from "../support/conversations.ts";
import { oldMessages, tools } from "../support/old-messages.ts";
import { sdks } from "../support/scripted-sdks.ts";
import { quietly, useSdk } from "../support/sdk-handler.ts";

interface Prompt {
  role: string;
  content: string | { type: string; text?: string; toolCallId?: string }[];
}

/** The texts of what the model is given. */
const textsIn = (prompts: unknown[]) =>
  (prompts.at(-1) as Prompt[]).flatMap(({ content }) =>
    typeof content === "string" ? [content] : content.flatMap(({ text }) => (text === undefined ? [] : [text])),
  );

/** The ids of the tool calls that have no result. */
function openCallsIn(prompts: unknown[]): string[] {
  const parts = (prompts.at(-1) as Prompt[]).flatMap(({ content }) => (typeof content === "string" ? [] : content));
  const results = parts.flatMap(({ type, toolCallId }) => (type === "tool-result" ? [toolCallId] : []));
  return parts.flatMap(({ type, toolCallId = "" }) =>
    type === "tool-call" && !results.includes(toolCallId) ? [toolCallId] : [],
  );
}

const all = oldMessages as UIMessage[];
const dead = { type: "file", mediaType: "image/png", url: "https://gone.example/x.png" };
const withFile = (role: string, file: object) => ({
  id: `of the ${role}`,
  role,
  parts: [file, { type: "text", text: "See:" }],
});
const bricks = {
  "a file without an address": withFile("user", { ...dead, url: "" }),
  "a file with a broken address": withFile("user", { ...dead, url: "http://" }),
  "a file without a type": withFile("user", { type: "file", url: "data:image/png;base64,iVBORw0KGgo=" }),
  "a file of the assistant with a broken address": withFile("assistant", { ...dead, url: "no address" }),
  "a dead tool call": {
    id: "call",
    role: "assistant",
    parts: [{ type: "tool-weather", toolCallId: "t", state: "input-available", input: { city: "Rome" } }],
  },
  "a dead call of a tool that is gone": {
    id: "call",
    role: "assistant",
    parts: [
      say("assistant", "See:").parts[0],
      { type: "tool-gone", toolCallId: "t", state: "input-streaming", input: {} },
    ],
  },
};

describe.each(sdks)("With stored messages that $name refuses", (sdk) => {
  const used = useSdk(sdk);
  // ai 7 warns of `rawInput`.
  beforeAll(() => {
    globalThis.AI_SDK_LOG_WARNINGS = false;
  });
  afterAll(() => {
    globalThis.AI_SDK_LOG_WARNINGS = undefined;
  });

  /** Asks two questions after these messages. Returns the texts that the model was given. */
  async function askAfter(messages: UIMessage[], openCalls: string[] = []) {
    const prompts: unknown[] = [];
    const { ask, chatId, errors, stored } = used.createChat(
      ({ modelMessages }) =>
        sdk.ai.streamText({
          ...quietly,
          model: sdk.model(["The moon."], prompts),
          messages: modelMessages,
          tools: tools as ToolSet,
          // Instructions among the messages are what ai 7 refuses otherwise.
          allowSystemInMessages: true,
        }),
      { tools },
    );
    await used.store.upsertChat({ userId: "u", chatId, messages });
    const before = await stored();
    for (const [index, text] of ["And now?", "And then?"].entries()) {
      const chunks = await chunksOf(await ask(question(text, `q${index}`)));
      expect(chunks.filter(({ type }) => type === "error")).toEqual([]);
      expect(textIn(chunks)).toBe("The moon.");
      expect(openCallsIn(prompts)).toEqual(openCalls);
      expect(textsIn(prompts)).toContain(text);
    }
    expect(prompts).toHaveLength(2);
    expect((await stored()).slice(-4)).toMatchObject([
      { id: "q0" },
      { role: "assistant" },
      { id: "q1" },
      { role: "assistant" },
    ]);
    // What is dead may be closed; texts stay as they are.
    expect((await stored()).slice(0, -4).map(({ id }) => id)).toEqual(before.map(({ id }) => id));
    expect(errors).toEqual([]);
    return textsIn(prompts);
  }

  // It knows the states of approvals, but has no results for them.
  const withoutResult =
    sdk.name === "ai 5" ? ["ai 6: an approval that was denied", "ai 6: an approval that nobody answered"] : [];
  test.concurrent.each(all.map((message) => [message.id, message] as const))(
    "a question after %s gets its answer",
    async (id, message) => {
      await askAfter([say("user", "Before?", "first"), message], withoutResult.includes(id) ? ["call"] : []);
    },
  );

  test("a question after all of them gets its answer, and the model gets their texts", async () => {
    const texts = (await askAfter([say("user", "Before?", "first"), ...all])).join("\n");
    expect(texts).toContain("Before?");
    for (const text of ["Because.", "21 degrees.", "The moon.", "I search.", "All lead there.", "31 people are here"])
      expect(texts).toContain(text);
    expect(texts).toContain("(The rest of this message can no longer be read.)");
  });

  test.each(Object.entries(bricks))("a chat with %s goes on", async (_, message) => {
    const texts = await askAfter([say("user", "Before?", "first"), message as UIMessage]);
    expect(texts).toContain("Before?");
  });

  test("what the SDK accepts is not touched", async () => {
    const messages = [say("user", "Why?", "1"), say("assistant", "So.", "2")];
    expect(await askAfter(messages)).toEqual(["Why?", "So.", "And now?", "The moon.", "And then?"]);
  });
});

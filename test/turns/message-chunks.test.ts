import { deepStrictEqual } from "node:assert/strict";
import * as ai from "ai";
import * as ai5 from "ai5";
import * as ai6 from "ai6";
import { describe, expect, test } from "vitest";
import { toStreamChunks } from "../../src/turns/message-chunks.ts";
import { detectProtocol } from "../../src/turns/sdk-protocol.ts";
import { toSseEvent } from "../../src/turns/sse-events.ts";
import { conversations } from "../support/sdk-messages.ts";

type Part = Record<string, unknown>;
type Message = { id: string; metadata?: unknown; parts: Part[] };

const asJson = <T>(value: T): T => JSON.parse(JSON.stringify(value));

/** What a page of this version shows after it has resumed, and for which calls its `onToolCall` was called. */
async function resumed(sdk: typeof ai, message: Message): Promise<{ message: unknown; calls: string[] }> {
  const body = [...toStreamChunks(message, await detectProtocol(sdk)), { type: "finish" }].map(toSseEvent).join("");
  const calls: string[] = [];
  const state = {
    status: "ready" as const,
    error: undefined,
    messages: [] as ai.UIMessage[],
    pushMessage(message: ai.UIMessage) {
      this.messages = [...this.messages, message];
    },
    popMessage() {
      this.messages = this.messages.slice(0, -1);
    },
    replaceMessage(index: number, message: ai.UIMessage) {
      this.messages = this.messages.with(index, message);
    },
    snapshot: structuredClone,
  };
  const errors: Error[] = [];
  const page = new (class extends sdk.AbstractChat<ai.UIMessage> {})({
    state,
    transport: new sdk.DefaultChatTransport({ fetch: async () => new Response(body) }),
    onToolCall: ({ toolCall }) => void calls.push(toolCall.toolCallId),
    onError: (error) => errors.push(error),
  });
  await page.resumeStream();
  expect(errors).toEqual([]);
  return { message: asJson(page.messages.at(-1)), calls };
}

const meta = { google: { thoughtSignature: "s+/=" } };
const input = { city: "Oslo", list: [1, null, { a: "\u2028" }] };
const approval = { id: "p" };
const asked = {
  id: "p",
  descriptor: { options: ["once"] },
  requestReason: "It is shared.",
  isAutomatic: true,
  signature: "sig",
  inputSchemaInput: { city: 1 },
};
const [allowed, denied] = [true, false].map((approved) => ({ ...asked, approved, reason: "I say so." }));

/** Tool calls in every state; a static and a dynamic one is made of each. */
const calls: { kind: string; since?: 6 | 7 | undefined; part: Part }[] = [
  {
    kind: "whose input streams in",
    part: { state: "input-streaming", input: { city: "Os" }, rawInput: '{"city":"Os' },
  },
  { kind: "that waits", part: { state: "input-available", input, callProviderMetadata: meta } },
  ...Object.entries({ object: input, string: "Oslo", number: 5, null: null, undefined }).map(([kind, input]) => ({
    kind: `with an output, whose input is ${kind}`,
    part: { state: "output-available", input, output: [kind], callProviderMetadata: meta },
  })),
  { kind: "with an output of null", part: { state: "output-available", input, output: null } },
  { kind: "in progress", part: { state: "output-available", input, output: { percent: 5 }, preliminary: true } },
  ...Object.entries({ object: input, string: "Oslo", number: 5, null: null }).map(([kind, input]) => ({
    kind: `that failed, whose input is ${kind}`,
    part: { state: "output-error", input, errorText: "No.", callProviderMetadata: meta },
  })),
  {
    kind: "that failed without an input",
    part: { state: "output-error", errorText: "No.", callProviderMetadata: meta },
  },
  { kind: "that the provider has run", part: { state: "output-available", input, output: 1, providerExecuted: true } },
  { kind: "that the provider runs", part: { state: "input-available", input, providerExecuted: true } },
  {
    kind: "in which the provider failed",
    part: { state: "output-error", input, errorText: "No.", providerExecuted: true, callProviderMetadata: meta },
  },
  {
    kind: "with all that a call may have",
    since: 6,
    part: {
      state: "output-available",
      input,
      output: 1,
      title: "Weather",
      toolMetadata: { server: "mail" },
      callProviderMetadata: meta,
      resultProviderMetadata: { openai: { itemId: "1" } },
    },
  },
  {
    kind: "that failed with all that a call may have",
    since: 6,
    part: {
      state: "output-error",
      input,
      errorText: "No.",
      title: "Weather",
      toolMetadata: { server: "mail" },
      callProviderMetadata: meta,
      resultProviderMetadata: { openai: { itemId: "1" } },
    },
  },
  { kind: "that asks for an approval", since: 6, part: { state: "approval-requested", input, approval } },
  {
    kind: "that asks for an approval, with reasons",
    since: 7,
    part: { state: "approval-requested", input, approval: asked },
  },
  {
    kind: "that is approved",
    since: 6,
    part: { state: "approval-responded", input, approval: { ...approval, approved: true } },
  },
  { kind: "that is approved, with reasons", since: 7, part: { state: "approval-responded", input, approval: allowed } },
  { kind: "that will be denied", since: 7, part: { state: "approval-responded", input, approval: denied } },
  {
    kind: "that is denied",
    since: 6,
    part: { state: "output-denied", input, approval: { ...approval, approved: false, reason: "No." } },
  },
  { kind: "that is denied, with reasons", since: 7, part: { state: "output-denied", input, approval: denied } },
  {
    kind: "that ran after an approval",
    since: 6,
    part: { state: "output-available", input, output: 1, approval: { ...approval, approved: true } },
  },
  {
    kind: "that ran after an approval, with reasons",
    since: 7,
    part: { state: "output-available", input, output: 1, approval: allowed },
  },
  {
    kind: "that failed after an approval",
    since: 7,
    part: { state: "output-error", input, errorText: "No.", approval: allowed },
  },
];

const file = { mediaType: "image/png", url: "data:image/png;base64,AAAA" };
const others: { kind: string; since?: 6 | 7 | undefined; part: Part }[] = [
  { kind: "a text", part: { type: "text", text: "Hi", state: "done", providerMetadata: meta } },
  { kind: "a text that streams", part: { type: "text", text: "Hi", state: "streaming" } },
  { kind: "a text with citations", since: 7, part: { type: "text", text: "Hi", state: "done", citations: [] } },
  { kind: "reasoning", part: { type: "reasoning", id: "r", text: "Hm", state: "done", providerMetadata: meta } },
  { kind: "a step", part: { type: "step-start" } },
  { kind: "a file", part: { type: "file", ...file } },
  { kind: "a file of a provider", since: 6, part: { type: "file", ...file, providerMetadata: meta } },
  { kind: "a file of reasoning", since: 7, part: { type: "reasoning-file", ...file, providerMetadata: meta } },
  {
    kind: "a source",
    part: { type: "source-url", sourceId: "1", url: "https://a.b", title: "A", providerMetadata: meta },
  },
  {
    kind: "a document",
    part: {
      type: "source-document",
      sourceId: "1",
      mediaType: "text/plain",
      title: "A",
      filename: "a",
      providerMetadata: meta,
    },
  },
  { kind: "data", part: { type: "data-chart", id: "1", data: { rows: [] } } },
  { kind: "a custom part", since: 7, part: { type: "custom", kind: "a.b", providerMetadata: meta } },
  {
    kind: "a message that steers",
    since: 7,
    part: { type: "steering-message", id: "1", parts: [{ type: "text", text: "Hot." }] },
  },
];

const kinds: typeof others = [
  ...others,
  ...calls.flatMap(({ kind, since, part }) => [
    { kind: `a static call ${kind}`, since, part: { type: "tool-weather", toolCallId: "t1", ...part } },
    {
      kind: `a dynamic call ${kind}`,
      since,
      part: { type: "dynamic-tool", toolName: "weather", toolCallId: "t1", ...part },
    },
  ]),
];

/** What a page shows of a stored part where the protocol of its version cannot carry all of it. */
function shownAs(version: number, part: Part): Part {
  const { type, state, approval, input } = part;
  const isStatic = type !== "dynamic-tool";
  const text = JSON.stringify(input);
  // Input that streamed in stays as a text, until an output comes.
  if (version >= 7) return /responded|denied/.test(String(state)) ? { ...part, rawInput: text } : part;
  if (state === "output-error" && input !== undefined && isStatic && !part.providerExecuted) {
    return { ...part, rawInput: text };
  }
  if (approval === undefined) return part;
  // ai 6 has no chunk for the answer to an approval, and knows less of the request.
  const { id, descriptor, inputSchemaInput, signature } = approval as Part;
  const shown = { ...part, approval: { id, descriptor, inputSchemaInput, signature } };
  if (state === "output-available" || state === "approval-requested") return shown;
  return { ...shown, rawInput: text, ...(state === "approval-responded" && { state: "input-streaming" }) };
}

const sdks = [
  { name: "ai 7", version: 7, sdk: ai, unknownKeys: [], unknownParts: /odd keys|does not exist yet/ },
  {
    name: "ai 6",
    version: 6,
    sdk: ai6 as unknown as typeof ai,
    unknownKeys: [],
    unknownParts: /odd keys|does not exist yet|provider metadata|custom|steers|citations/,
  },
  {
    name: "ai 5",
    version: 5,
    sdk: ai5 as unknown as typeof ai,
    unknownKeys: ["title", "toolMetadata", "resultProviderMetadata"],
    unknownParts: /odd keys|does not exist yet|provider metadata|custom|steers|citations|approval|denies|refused/,
  },
];

describe.each(sdks)("A stored answer as a stream, with $name", ({ version, sdk, unknownKeys, unknownParts }) => {
  const without = (keys: string[], message: unknown) =>
    JSON.parse(JSON.stringify(message, (key, value) => (keys.includes(key) ? undefined : value)));

  test.each(kinds.filter(({ since = 5 }) => since <= version))(
    "the page shows $kind as it is stored",
    async ({ part }) => {
      const metadata = { tokens: 5 };
      const stored = { id: "a1", role: "assistant", metadata, parts: [part] };
      const { message, calls } = await resumed(sdk, stored);
      deepStrictEqual(message, asJson({ ...stored, parts: [shownAs(version, part)] }));
      const waits = /input-available|approval-requested/.test(String(part.state)) && !part.providerExecuted;
      expect(calls).toEqual(waits ? ["t1"] : []);
    },
  );

  test("the page shows null where a tool's output was undefined, which JSON leaves away", async () => {
    const part = { type: "tool-log", toolCallId: "t1", state: "output-available", input: {} };
    const after = { type: "text", text: "Logged.", state: "done" };
    const { message } = await resumed(sdk, { id: "a1", parts: [part, after] });
    expect(message).toMatchObject({ parts: [{ ...part, output: null }, after] });
  });

  test.each(conversations.filter(({ name }) => !unknownParts.test(name)))(
    "the client rebuilds the stored answers ($name)",
    async ({ messages }) => {
      for (const stored of asJson(await messages()) as unknown as Message[]) {
        if ((stored as unknown as ai.UIMessage).role !== "assistant" || stored.parts.length === 0) continue;
        const { message } = await resumed(sdk, stored);
        const expected = { ...stored, parts: stored.parts.map((part) => shownAs(version, part)) };
        deepStrictEqual(message, without(unknownKeys, expected));
      }
    },
  );
});

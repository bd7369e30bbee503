import { z } from "zod";

/** What the application has today. `search` was removed, `weather` has asked for a `place` before. */
export const tools = {
  weather: { description: "The weather", inputSchema: z.object({ city: z.string() }), execute: async () => "sunny" },
  // Reads what it gave once: that of last year had no `places`.
  route: {
    description: "A route",
    inputSchema: z.object({ to: z.string() }),
    execute: async () => ({ places: ["Rome"] }),
    // ai 5 gives it the output itself, later ones an object that has it.
    toModelOutput: (given: { places?: string[]; output?: { places: string[] } }) => {
      const { places } = given.output ?? given;
      return { type: "text", value: (places as string[]).join(" to ") };
    },
  },
};
export const dataSchemas = { progress: z.object({ done: z.number() }) };
export const metadataSchema = z.object({ model: z.string() }).optional();

const text = (text: unknown) => ({ type: "text", text });
const step = { type: "step-start" };
const weather = { type: "tool-weather", toolCallId: "call", input: { city: "Rome" } };
const search = { type: "tool-search", toolCallId: "call", input: { query: "tides" } };
const pixel = "data:image/png;base64,iVBORw0KGgo=";

/** As ai 4 wrote it. Of its keys the store keeps only those that later versions have. */
const ofAi4 = (role: string, content: string, parts: unknown[], more?: object) => ({
  createdAt: "2025-03-01T12:00:00.000Z",
  role,
  content,
  parts,
  ...more,
});
const invocation = (state: string, more?: object) => ({
  state,
  step: 0,
  toolCallId: "call",
  toolName: "weather",
  args: { city: "Rome" },
  ...more,
});
const result = invocation("result", { result: { celsius: 21 } });

const sdk = {
  "ai 4: a question": ofAi4("user", "Why?", [text("Why?")]),
  "ai 4: a question with a file": ofAi4("user", "What is this?", [text("What is this?")], {
    experimental_attachments: [{ name: "pixel.png", contentType: "image/png", url: pixel }],
  }),
  "ai 4: an answer": ofAi4("assistant", "Because.", [step, text("Because.")], { annotations: [{ done: 1 }] }),
  "ai 4: a tool's result": ofAi4(
    "assistant",
    "21 degrees.",
    [step, { type: "tool-invocation", toolInvocation: result }, step, text("21 degrees.")],
    { toolInvocations: [result] },
  ),
  "ai 4: a tool call without a result": ofAi4("assistant", "Let me look.", [
    step,
    text("Let me look."),
    { type: "tool-invocation", toolInvocation: invocation("call") },
  ]),
  "ai 4: a tool call that was cut off": ofAi4("assistant", "", [
    { type: "tool-invocation", toolInvocation: invocation("partial-call", { args: {} }) },
  ]),
  "ai 4: reasoning": ofAi4("assistant", "Because.", [
    { type: "reasoning", reasoning: "Hm.", details: [{ type: "text", text: "Hm.", signature: "c2ln" }] },
    text("Because."),
  ]),
  "ai 4: a source": ofAi4("assistant", "It says so.", [
    text("It says so."),
    { type: "source", source: { sourceType: "url", id: "s", url: "https://example.com/", title: "Example" } },
  ]),
  "ai 4: a generated file": ofAi4("assistant", "", [{ type: "file", mimeType: "image/png", data: "iVBORw0KGgo=" }]),
  "ai 4: the role data": ofAi4("data", "", [text("31 people are here")], { data: { here: 31 } }),

  "ai 5: every kind of part": {
    role: "assistant",
    metadata: { model: "m" },
    parts: [
      step,
      { type: "reasoning", text: "Hm.", state: "done", providerMetadata: { openai: { itemId: "rs_1" } } },
      { ...text("Let me look."), state: "done", providerMetadata: { openai: { itemId: "msg_1" } } },
      { ...weather, state: "output-available", output: { celsius: 21 } },
      step,
      { type: "source-url", sourceId: "s", url: "https://example.com/", title: "Example" },
      { type: "source-document", sourceId: "d", mediaType: "text/plain", title: "Notes" },
      { type: "file", mediaType: "image/png", url: pixel },
      { type: "data-progress", id: "p", data: { done: 1 } },
      { ...text("21 degrees."), state: "done" },
    ],
  },
  "ai 5: a file in a question": {
    role: "user",
    parts: [{ type: "file", mediaType: "image/png", filename: "pixel.png", url: pixel }, text("What is this?")],
  },
  "ai 5: a tool that failed": {
    role: "assistant",
    parts: [step, { ...weather, state: "output-error", errorText: "no network" }, step, text("I cannot.")],
  },
  "ai 5: a tool call whose input was no JSON": {
    role: "assistant",
    parts: [
      { type: "tool-weather", toolCallId: "call", state: "output-error", rawInput: '{"ci', errorText: "no JSON" },
      step,
      text("Once more."),
    ],
  },
  "ai 5: a dynamic tool": {
    role: "assistant",
    parts: [
      { type: "dynamic-tool", toolName: "mcp", toolCallId: "call", state: "output-available", input: {}, output: [1] },
      step,
      text("One."),
    ],
  },
  "ai 5: a tool that the provider has run": {
    role: "assistant",
    parts: [{ ...search, state: "output-available", output: [], providerExecuted: true }, text("Nothing found.")],
  },
  "ai 5: a stop during a tool call": {
    role: "assistant",
    parts: [text("Let me"), { ...weather, state: "input-available" }],
  },
  "ai 5: a stop while the input was streaming": {
    role: "assistant",
    parts: [text("Let me"), { type: "tool-weather", toolCallId: "call", state: "input-streaming", input: { ci: "" } }],
  },
  "ai 5: nothing was said": { role: "assistant", parts: [] },
  "ai 5: a key that no SDK knows": { role: "user", parts: [{ ...text("Why?"), cached: true }] },
  "ai 5: instructions": { role: "system", parts: [text("Be brief.")] },

  "ai 6: an approval that was given": {
    role: "assistant",
    parts: [
      { ...weather, state: "output-available", output: { celsius: 21 }, approval: { id: "a", approved: true } },
      step,
      text("21 degrees."),
    ],
  },
  "ai 6: an approval that was denied": {
    role: "assistant",
    parts: [
      { ...weather, state: "output-denied", approval: { id: "a", approved: false, reason: "no" } },
      step,
      text("Well."),
    ],
  },
  "ai 6: an approval that nobody answered": {
    role: "assistant",
    parts: [text("May I?"), { ...weather, state: "approval-requested", approval: { id: "a" } }],
  },
  "ai 6: an approval for a dynamic tool": {
    role: "assistant",
    parts: [
      {
        type: "dynamic-tool",
        toolName: "mcp",
        toolCallId: "call",
        state: "output-denied",
        input: {},
        approval: { id: "a", approved: false },
      },
      step,
      text("Well."),
    ],
  },
  "ai 7: reasoning in a file": {
    role: "assistant",
    parts: [{ type: "reasoning-file", mediaType: "image/png", url: pixel }, text("As I have drawn.")],
  },
  "ai 7: content of a provider's own": {
    role: "assistant",
    parts: [{ type: "custom", kind: "anthropic.compaction" }, text("In short: tides.")],
  },
};

const application = {
  "a removed tool": {
    role: "assistant",
    parts: [text("I search."), { ...search, state: "output-available", output: ["the moon"] }, step, text("The moon.")],
  },
  "a removed tool without a result": {
    role: "assistant",
    parts: [text("I search."), { ...search, state: "input-available" }],
  },
  "a tool whose input has changed": {
    role: "assistant",
    parts: [
      step,
      { type: "reasoning", text: "Hm.", providerMetadata: { openai: { itemId: "rs_1" } } },
      { ...text("Let me look."), providerMetadata: { openai: { itemId: "msg_1" } } },
      { ...weather, input: { place: "Rome" }, state: "output-available", output: { celsius: 21 } },
      step,
      text("21 degrees."),
    ],
  },
  "a tool whose output has changed": {
    role: "assistant",
    parts: [
      { type: "tool-route", toolCallId: "call", input: { to: "Rome" }, state: "output-available", output: {} },
      step,
      text("All lead there."),
    ],
  },
  "data of another shape": { role: "assistant", parts: [{ type: "data-progress", data: "half" }, text("Done.")] },
  "data that is no longer declared": {
    role: "assistant",
    parts: [{ type: "data-chart", data: [1] }, text("See above.")],
  },
  "metadata of another shape": { role: "assistant", metadata: { tokens: 3 }, parts: [text("Because.")] },
  "a part of an unknown type": { role: "assistant", parts: [text("See:"), { type: "hologram", url: pixel }] },
  "a part without a type": { role: "user", parts: [{ text: "Why?" }, text("Really, why?")] },
  "a file without an address": {
    role: "assistant",
    parts: [{ type: "file", mediaType: "image/png", url: "pixel.png" }, text("Here you are.")],
  },
  "no parts": { role: "user", parts: [] },
  "parts that are no objects": { role: "assistant", parts: [null, "text", 1, [["text"]], true, text("Because.")] },
  "texts that are none": {
    role: "user",
    parts: [text(1), text(null), text({ toString: 1 }), text([[]]), text(""), text("Why?")],
  },
  "an unknown role": { role: "tool", parts: [text("done")] },
};

/** Messages as they may stand in a database for years, each with what it is for as its id. */
export const oldMessages: { id: string; role: string; parts: unknown[]; metadata?: unknown }[] = Object.entries({
  ...sdk,
  ...application,
}).map(([id, message]) => ({ id, ...message }));

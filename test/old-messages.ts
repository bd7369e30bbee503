import type { UIMessage } from "ai";

/** An assistant's message; with `text` first, as most have. */
const assistant = (id: string, ...parts: unknown[]) => ({ id, role: "assistant", parts });
const text = (text: string) => ({ type: "text", text });

/** Messages as they were written by ai 4, 5 and 6, by tools that have changed since, and by what else writes into a database. */
export const oldMessages = [
  {
    id: "ai 4, a question",
    role: "user",
    content: "Does it rain?",
    createdAt: "2024-11-02T10:00:00.000Z",
    experimental_attachments: [{ name: "sky.png", contentType: "image/png", url: "https://example.com/sky.png" }],
    parts: [text("Does it rain?")],
  },
  assistant("ai 4, a tool", { type: "step-start" }, text("Let me see."), {
    type: "tool-invocation",
    toolInvocation: {
      state: "result",
      step: 0,
      toolCallId: "1",
      toolName: "weather",
      args: { city: "Oslo" },
      result: { celsius: 3 },
    },
  }),
  assistant("ai 4, a tool that was called and never answered", {
    type: "tool-invocation",
    toolInvocation: { state: "call", toolCallId: "2", toolName: "weather", args: { city: "Oslo" } },
  }),
  assistant(
    "ai 4, thoughts",
    { type: "reasoning", reasoning: "It is November.", details: [{ type: "text", text: "It is November." }] },
    text("It rains."),
  ),
  assistant("ai 4, a source", text("So they say."), {
    type: "source",
    source: { sourceType: "url", id: "s", url: "https://example.com", title: "Weather" },
  }),
  {
    id: "ai 4, a file",
    role: "user",
    parts: [text("Here."), { type: "file", mimeType: "image/png", data: "iVBORw0KGgo=" }],
  },
  { id: "ai 4, data", role: "data", parts: [text("{}")] },
  assistant(
    "ai 5, a tool",
    { type: "step-start" },
    {
      type: "tool-weather",
      toolCallId: "3",
      state: "output-available",
      input: { city: "Oslo" },
      output: { celsius: 3 },
    },
  ),
  assistant("ai 5, a tool that failed", {
    type: "tool-weather",
    toolCallId: "4",
    state: "output-error",
    input: { city: "Oslo" },
    errorText: "Nobody there",
  }),
  assistant("ai 5, a tool that was broken off", {
    type: "tool-weather",
    toolCallId: "5",
    state: "input-streaming",
    input: { ci: "O" },
  }),
  assistant("ai 5, a tool whose input has changed since", text("I look there."), {
    type: "tool-weather",
    toolCallId: "6",
    state: "output-available",
    input: { location: "Oslo" },
    output: { celsius: 3 },
  }),
  assistant("ai 5, a tool that is gone", text("I search."), {
    type: "tool-search",
    toolCallId: "7",
    state: "output-available",
    input: { query: "rain" },
    output: ["rain"],
  }),
  assistant("ai 5, a tool of a server that is not known here", {
    type: "dynamic-tool",
    toolName: "radar",
    toolCallId: "8",
    state: "output-available",
    input: {},
    output: "wet",
  }),
  assistant("ai 5, a tool of the provider's", {
    type: "tool-weather",
    toolCallId: "9",
    providerExecuted: true,
    state: "output-available",
    input: { city: "Oslo" },
    output: { celsius: 3 },
  }),
  assistant(
    "ai 5, thoughts and sources",
    { type: "reasoning", text: "It is November.", providerMetadata: { some: { signature: "x" } } },
    { type: "source-url", sourceId: "s", url: "https://example.com" },
    { type: "data-progress", data: { done: 1 } },
    { type: "data-of-last-year", data: null },
    text("It rains."),
  ),
  {
    id: "ai 5, a file",
    role: "user",
    parts: [{ type: "file", mediaType: "image/png", url: "https://example.com/sky.png" }],
  },
  assistant("ai 6, an approval that was asked for", {
    type: "tool-weather",
    toolCallId: "10",
    state: "approval-requested",
    input: { city: "Oslo" },
    approval: { id: "a" },
  }),
  assistant("ai 6, an approval that was given and acted on", {
    type: "tool-weather",
    toolCallId: "11",
    state: "output-available",
    input: { city: "Oslo" },
    output: { celsius: 3 },
    approval: { id: "b", approved: true },
  }),
  assistant("ai 6, an approval that was denied", {
    type: "tool-weather",
    toolCallId: "12",
    state: "output-denied",
    input: { city: "Oslo" },
    approval: { id: "c", approved: false },
  }),
  { id: "keys of one's own", role: "user", metadata: { model: 7 }, parts: [{ ...text("Hm."), feeling: "unsure" }] },
  assistant("nothing"),
  assistant("no part at all", null, 7, "text", ["text"], text("But words.")),
  assistant("a text that is none", { type: "text", text: { de: "Regen" } }),
  assistant("a part of next year", text("Look."), { type: "video", url: "https://example.com/rain.mp4" }),
  { id: "a role of one's own", role: "moderator", parts: [text("Be kind.")] },
] as unknown as UIMessage[];

import {
  convertToModelMessages,
  createUIMessageStream,
  dynamicTool,
  experimental_createSteering,
  generateId,
  isStepCount,
  isToolUIPart,
  readUIMessageStream,
  streamText,
  type ToolSet,
  tool,
  toUIMessageStream,
  type UIMessage,
  type UIMessageChunk,
  type UIMessageStreamOnEndCallback,
} from "ai";
import { MockLanguageModelV4, simulateReadableStream } from "ai/test";
import { z } from "zod";

type ModelPart =
  Awaited<ReturnType<MockLanguageModelV4["doStream"]>>["stream"] extends ReadableStream<infer Part> ? Part : never;
type Part = UIMessage["parts"][number];

/** Text that a database, a driver or a JSON library may want to read as something else, or refuse. */
const strange =
  'NUL \u0000, ESC \u001b, lone \ud83d and \udc00, \ud83d\ude00 👩‍👩‍👧, \u2028\u2029\ufeff\uffff, "quoted", C:\\new\\table, \\u0000 \\x41 \\\\, ' +
  '{"like":"JSON"}, \'; drop table chat_store.chats; --, $1 $$ :name ? %s, é e\u0301, </script>, tab\tline\r\n';

const nested = (levels: number): unknown => (levels === 0 ? "the bottom" : { deeper: [nested(levels - 1)] });

/** What the tool `read` gives, by name. */
const outputs: Record<string, unknown> = {
  "values that JSON does not know": {
    date: new Date(0),
    invalidDate: new Date(Number.NaN),
    map: new Map([["key", 1]]),
    set: new Set([1]),
    bytes: new Uint8Array([1, 2, 3]),
    url: new URL("https://example.com/?a=1"),
    error: new Error("no enumerable keys"),
    missing: undefined,
    holes: [undefined, Number.NaN, Number.NEGATIVE_INFINITY, () => 1, Symbol("s")],
    numbers: [-0, 1e21, 5e-324, 0.1 + 0.2, Number.MAX_SAFE_INTEGER],
  },
  undefined: undefined,
  "something 1,000 levels deep": nested(500),
  // Parsed, because in a literal `__proto__` would set the prototype instead of a key.
  "odd keys": JSON.parse(
    '{"zebra":1,"apple":2,"__proto__":{"admin":true},"constructor":{"prototype":3},"toJSON":4,"":5,"10":6}',
  ),
  "an odd string as key and value": { [strange]: [strange, { text: strange }] },
  "an odd string": strange,
};

const city = z.object({ city: z.string() });

const tools: ToolSet = {
  weather: tool({ title: "Weather", inputSchema: city, execute: async ({ city }) => ({ city, celsius: 21.5 }) }),
  broken: tool({ inputSchema: city, execute: (): Promise<string> => Promise.reject(new Error(strange)) }),
  progress: tool({
    inputSchema: z.object({}),
    execute: async function* () {
      yield* [{ percent: 50 }, { percent: 100 }];
    },
  }),
  read: tool({ inputSchema: z.object({ name: z.string() }), execute: async ({ name }) => outputs[name] }),
  mail: dynamicTool({ metadata: { server: "mail" }, inputSchema: city, execute: async () => [{ subject: "Invoice" }] }),
  remove: tool({ inputSchema: z.object({ file: z.string() }), execute: async ({ file }) => `${file} is gone` }),
  // Without execute: the browser answers it.
  whereAmI: tool({ inputSchema: z.object({}), outputSchema: z.string() }),
};

export const text = (delta: string, id = "text"): ModelPart[] => [
  { type: "text-start", id },
  { type: "text-delta", id, delta },
  { type: "text-end", id },
];

const callInput = (toolName: string, input: string, id = `call-${toolName}`): ModelPart[] => [
  { type: "tool-input-start", id, toolName },
  { type: "tool-input-delta", id, delta: input },
];

export const call = (toolName: string, input: unknown = {}, id = `call-${toolName}`): ModelPart[] => [
  ...callInput(toolName, JSON.stringify(input), id),
  { type: "tool-input-end", id },
  { type: "tool-call", toolCallId: id, toolName, input: JSON.stringify(input) },
];

const finish: ModelPart = {
  type: "finish",
  finishReason: { unified: "stop", raw: "stop" },
  usage: {
    inputTokens: { total: 3, noCache: 3, cacheRead: undefined, cacheWrite: undefined },
    outputTokens: { total: 10, text: 10, reasoning: undefined },
  },
};

const noDelay = { initialDelayInMs: null, chunkDelayInMs: null };
export const hang = () => new Promise<never>(() => {});
const breakOff = () => Promise.reject(new Error("socket hang up"));

/** A model that streams these steps, one a call. With `end`, the last one does not finish: it hangs or breaks off. */
export function model(steps: ModelPart[][], end?: () => Promise<never>) {
  return new MockLanguageModelV4({
    doStream: steps.map((step, index) => {
      const flush = index === steps.length - 1 ? end : undefined;
      const stream = simulateReadableStream({ ...noDelay, chunks: flush ? step : [...step, finish] });
      return { stream: flush ? stream.pipeThrough(new TransformStream({ flush })) : stream };
    }),
  });
}

type Settings = Parameters<typeof streamText<ToolSet>>[0];

interface Turn extends Pick<Settings, "toolApproval" | "experimental_toolApprovalSecret" | "experimental_steering"> {
  metadata?: Parameters<typeof toUIMessageStream<ToolSet, UIMessage>>[0]["messageMetadata"];
  /** The user presses stop when a chunk of this type arrives. */
  abortAt?: UIMessageChunk["type"];
  /** The client is gone when a chunk of this type arrives. */
  leaveAt?: UIMessageChunk["type"];
}

export const user = (text: string, ...more: Part[]): UIMessage => ({
  id: generateId(),
  role: "user",
  parts: [...more, { type: "text", text }],
});

/** One turn on a server, as in the SDK's documentation: the messages that its onEnd hands over to be saved. */
export async function turn(
  originalMessages: UIMessage[],
  model: MockLanguageModelV4,
  { abortAt, leaveAt, metadata = () => undefined, ...settings }: Turn = {},
): Promise<UIMessage[]> {
  const stop = new AbortController();
  const result = streamText({
    model,
    messages: await convertToModelMessages(originalMessages, { tools, ignoreIncompleteToolCalls: true }),
    tools,
    stopWhen: isStepCount(5),
    maxRetries: 0,
    abortSignal: stop.signal,
    onError: () => {},
    ...settings,
  });
  return messagesAtEnd(
    (onEnd) =>
      toUIMessageStream<ToolSet, UIMessage>({
        stream: result.stream,
        tools,
        originalMessages,
        generateMessageId: generateId,
        sendSources: true,
        messageMetadata: metadata,
        onEnd,
      }),
    (chunk) => {
      if (chunk.type === abortAt) stop.abort();
      return chunk.type === leaveAt;
    },
  );
}

async function messagesAtEnd(
  open: (onEnd: UIMessageStreamOnEndCallback<UIMessage>) => ReadableStream<UIMessageChunk>,
  isLast: (chunk: UIMessageChunk) => boolean = () => false,
): Promise<UIMessage[]> {
  let messages: UIMessage[] | undefined;
  const stream = open((end) => {
    messages = end.messages;
  });
  try {
    for await (const chunk of stream) if (isLast(chunk)) break;
  } catch {
    // The provider's connection broke, and so does the client's. onEnd is called all the same.
  }
  if (!messages) throw new Error("The stream ended without onEnd.");
  return messages;
}

/** What the browser makes of its last message when it receives, or itself adds, these chunks. */
async function inBrowser(messages: UIMessage[], ...chunks: UIMessageChunk[]): Promise<UIMessage[]> {
  // Through JSON, as it got there.
  let message: UIMessage = JSON.parse(JSON.stringify(messages.at(-1)));
  for await (const next of readUIMessageStream({ message, stream: simulateReadableStream({ chunks }) })) message = next;
  return [...messages.slice(0, -1), message];
}

const ask = (...steps: ModelPart[][]) => turn([user("What is the weather?")], model(steps));
const stopAt = (abortAt: UIMessageChunk["type"], step: ModelPart[]) =>
  turn([user("Go")], model([step], hang), { abortAt });

const approval = {
  toolApproval: { remove: { type: "user-approval", reason: "It cannot be undone." } },
  experimental_toolApprovalSecret: "secret",
} satisfies Turn;
const askForApproval = () => turn([user("Remove it")], model([[...text("I have to ask."), ...removeFile]]), approval);

async function answerApproval(approved: boolean): Promise<UIMessage[]> {
  const messages = await askForApproval();
  const approvalId = messages.at(-1)?.parts.find(isToolUIPart)?.approval?.id;
  if (!approvalId) throw new Error("The SDK asked for no approval.");
  return inBrowser(messages, { type: "tool-approval-response", approvalId, approved, reason: "I say so." });
}

async function withData(): Promise<UIMessage[]> {
  const originalMessages = [user("Show me")];
  return messagesAtEnd((onEnd) =>
    createUIMessageStream({
      originalMessages,
      generateId,
      execute: ({ writer }) => {
        writer.write({ type: "data-chart", id: "chart", data: { loading: true } });
        writer.write({ type: "data-toast", data: "not kept", transient: true });
        const { stream } = streamText({ model: model([text("A chart.")]), prompt: "Show me" });
        writer.merge(toUIMessageStream({ stream }));
        writer.write({ type: "data-chart", id: "chart", data: { rows: [[1, null], [strange]] } });
        writer.write({ type: "data-null", data: null });
      },
      onEnd,
    }),
  );
}

async function long(messageCount: number): Promise<UIMessage[]> {
  let messages: UIMessage[] = [];
  while (messages.length < messageCount) {
    messages = await turn([...messages, user(`Question ${messages.length}`)], model([text("Answer.")]));
  }
  return messages;
}

const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const image = { type: "file", mediaType: "image/png", url: `data:image/png;base64,${png}` } as const;
const weather = call("weather", { city: "Paris" });
const removeFile = call("remove", { file: "a.txt" });
const sunn = text("Sunn").slice(0, -1);
const cutOff: ModelPart = { type: "tool-call", toolCallId: "call-weather", toolName: "weather", input: '{"city' };
const link = { type: "source", sourceType: "url", id: "1", url: "https://example.com/?q=%20", title: strange } as const;
const search = { toolCallId: "ws_1", toolName: "web_search", providerExecuted: true, dynamic: true };
const reasoning = {
  id: "reasoning",
  providerMetadata: { anthropic: { signature: "Eq/+==", zebra: null, apple: 2e-7 } },
};
const future = `[{"id":"m-1","role":"assistant","parts":[
  {"type":"hologram","9":1,"zebra":[{"type":null}],"apple":{},"__proto__":{"x":1},"state":7}]}]`;

/** Conversations as a server has them in memory, all but the last two made by the SDK. */
const makers: Record<string, () => Promise<UIMessage[]>> = {
  "an empty conversation": async () => [],
  "a text": () => ask(text("Sunny.")),
  "two turns": async () => turn([...(await ask(text("Sunny."))), user("Sure?")], model([text("Yes.")])),
  "tools over several steps": () => ask([...text("Let me see."), ...weather], call("progress"), text("Sunny.")),
  "tools called in parallel": () =>
    ask([...weather, ...call("weather", { city: "Rome" }, "call-2"), ...call("progress")], text("Sunny.")),
  "a tool that fails": () => ask(call("broken", { city: "Oslo" }), text("I could not find out.")),
  "tool input that is invalid, cut off, or for an unknown tool": () =>
    ask(call("weather", { town: 5 }), [...weather.slice(0, -1), cutOff], call("unheardOf", { a: 1 }), text("Sorry.")),
  "a dynamic tool": () => ask(call("mail", { city: strange }), text("One invoice.")),
  "a tool that the provider runs": () =>
    ask([
      { type: "tool-call", ...search, input: '{"q":"weather"}', providerMetadata: { openai: { itemId: "ws_1" } } },
      { type: "tool-result", ...search, result: [strange], providerMetadata: { openai: { itemId: "ws_2" } } },
      ...text("Sunny."),
    ]),
  "a tool that the browser runs": async () =>
    inBrowser(await ask(call("whereAmI", {}, "1")), { type: "tool-output-available", toolCallId: "1", output: "here" }),
  "a tool that waits for the browser": () => ask(call("whereAmI")),
  "an approval that is asked for": askForApproval,
  "an approval that is given": () => answerApproval(true),
  "an approval that is refused": () => answerApproval(false),
  "a tool that ran after approval": async () => turn(await answerApproval(true), model([text("Gone.")]), approval),
  "a tool that was refused": async () => turn(await answerApproval(false), model([text("It stays.")]), approval),
  "a tool that the server denies by itself": () =>
    turn([user("Remove it")], model([removeFile, text("No.")]), { toolApproval: { remove: "denied" } }),
  "reasoning with provider metadata": () =>
    ask([
      { type: "reasoning-start", ...reasoning, providerMetadata: { openai: { itemId: "rs_1" } } },
      { type: "reasoning-delta", id: "reasoning", delta: strange },
      { type: "reasoning-end", ...reasoning },
      { type: "reasoning-file", mediaType: "image/png", data: { type: "data", data: png } },
      ...text("Sunny."),
    ]),
  "files as data URLs": () =>
    turn(
      [user("Again", { ...image, filename: 'a "b".png' })],
      model([[{ type: "file", mediaType: "image/png", data: { type: "data", data: Buffer.from(png, "base64") } }]]),
    ),
  "sources and citations": () =>
    ask([
      link,
      { type: "source", sourceType: "document", id: "2", mediaType: "text/plain", title: "Report", filename: "r.txt" },
      ...text("Sunny.").slice(0, -1),
      { type: "text-end", id: "text", citations: [{ source: link, startIndex: 0, endIndex: 5, citedText: strange }] },
    ]),
  "data parts": withData,
  "message metadata": () =>
    turn([user("Hello")], model([text("Hi.")]), {
      metadata: ({ part }) => {
        if (part.type === "start") return { zebra: 1, apple: undefined, at: new Date(0), note: strange };
        return part.type === "finish" ? { totalTokens: part.totalUsage.totalTokens, nothing: null } : undefined;
      },
    }),
  "a text that was stopped": () => stopAt("text-delta", sunn),
  "reasoning that was stopped": () =>
    stopAt("reasoning-delta", [
      { type: "reasoning-start", ...reasoning },
      { type: "reasoning-delta", id: "reasoning", delta: "The user" },
    ]),
  "tool input that was stopped": () => stopAt("tool-input-delta", callInput("weather", '{"city":"Par')),
  "a client that left while a tool ran": () =>
    turn([user("Go")], model([call("progress")]), { leaveAt: "tool-output-available" }),
  "a client that left while text came in": () => turn([user("Go")], model([sunn], hang), { leaveAt: "text-delta" }),
  "an error that the provider reports halfway": () => ask([...sunn, { type: "error", error: new Error("overloaded") }]),
  "a connection that broke halfway": () => turn([user("Go")], model([sunn], breakOff)),
  "a failure before the first chunk": () =>
    turn([user("Go")], new MockLanguageModelV4({ doStream: () => Promise.reject(new Error("401")) })),
  "a custom part": () =>
    ask([
      { type: "custom", kind: "openai.compaction", providerMetadata: { openai: { state: strange } } },
      ...text("Hi."),
    ]),
  "a message that steers the answer": () => {
    const experimental_steering = experimental_createSteering();
    void experimental_steering.queue("Paris, Texas");
    return turn([user("Paris?")], model([text("Sunny."), text("Hot.")]), { experimental_steering });
  },
  "300 messages": () => long(300),
  "a text of 1 MB": () => ask(text(strange + '0123456789 \\" é\n'.repeat(70_000))),
  ...Object.fromEntries(
    Object.keys(outputs).map((name) => [
      `a tool that returns ${name}`,
      () => ask(call("read", { name }), text("I see.")),
    ]),
  ),
  "odd strings from the user and the model": () =>
    turn([user(strange)], model([[...text(strange), ...call("weather", { city: strange })], text(strange)])),
  "metadata that is a JSON scalar": async () =>
    [null, "5", "", "null", 0, -1.5, false, true].map((metadata) => ({ ...user("Hi"), metadata })),
  "parts of a kind that does not exist yet": async () => JSON.parse(future),
};

export const conversations = Object.entries(makers).map(([name, messages]) => ({ name, messages }));

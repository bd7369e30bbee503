import type { Chunk } from "./events.ts";

type Part = Record<string, unknown>;

/** A stored message as the chunks of a stream that ai 5, 6 and 7 read back to the same message. Without an end. */
export function chunksOf(message: { id: string; metadata?: unknown; parts: readonly unknown[] }): Chunk[] {
  const start = { type: "start", messageId: message.id, ...present("messageMetadata", message.metadata) };
  return [start, ...message.parts.flatMap((part, index) => chunksOfPart(part as Part, `stored ${index}`))];
}

function chunksOfPart(part: Part, id: string): Chunk[] {
  if (part.type === "step-start") return [{ type: "start-step" }];
  if (part.type === "text" || part.type === "reasoning") return chunksOfText(part, part.type, id);
  return "toolCallId" in part ? chunksOfToolCall(part) : [part as Chunk];
}

function chunksOfText({ text, state, providerMetadata }: Part, type: string, id: string): Chunk[] {
  const of = { id, ...present("providerMetadata", providerMetadata) };
  const chunks = [
    { ...of, type: `${type}-start` },
    { ...of, type: `${type}-delta`, delta: text },
  ];
  return state === "streaming" ? chunks : [...chunks, { ...of, type: `${type}-end` }];
}

function chunksOfToolCall(part: Part): Chunk[] {
  const { type, toolCallId, state, input, output, errorText, approval } = part;
  const isDynamic = type === "dynamic-tool";
  const toolName = isDynamic ? part.toolName : String(type).replace(/^tool-/, "");
  const of = { toolCallId, ...(isDynamic && { dynamic: true }), ...present("providerExecuted", part.providerExecuted) };
  const call = {
    ...of,
    toolName,
    ...present("title", part.title),
    ...present("toolMetadata", part.toolMetadata),
    ...present("providerMetadata", part.callProviderMetadata),
  };
  if (state === "input-streaming") {
    return [
      { ...call, type: "tool-input-start" },
      // As much of the input as could be read: what the SDK makes of the beginning of a JSON text.
      ...(input === undefined
        ? []
        : [{ type: "tool-input-delta", toolCallId, inputTextDelta: JSON.stringify(input).replace(/["}\]]*$/, "") }]),
    ];
  }
  if (state === "output-error" && input === undefined) {
    return [{ ...call, type: "tool-input-error", input: part.rawInput ?? null, errorText }];
  }

  const chunks: Chunk[] = [{ ...call, type: "tool-input-available", input: input ?? null }];
  if (isRecord(approval)) {
    chunks.push({
      type: "tool-approval-request",
      approvalId: approval.id,
      toolCallId,
      ...present("signature", approval.signature),
    });
  }
  // Of one that was only responded to there is no chunk that all three know: it shows as running, which it does.
  if (state === "output-available") {
    chunks.push({ ...of, type: "tool-output-available", output, ...present("preliminary", part.preliminary) });
  } else if (state === "output-error") chunks.push({ ...of, type: "tool-output-error", errorText });
  else if (state === "output-denied") chunks.push({ type: "tool-output-denied", toolCallId });
  return chunks;
}

const isRecord = (value: unknown): value is Part => typeof value === "object" && value !== null;

/** The SDK refuses a chunk with a key that is there and undefined. */
const present = (key: string, value: unknown) => (value === undefined ? {} : { [key]: value });

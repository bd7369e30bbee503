import type { Chunk } from "./events.ts";

type Part = Record<string, unknown>;

/** A stored message as the chunks of a stream that ai 5, 6 and 7 read back to the same message. Without an end. */
export function chunksOf(message: { id: string; metadata?: unknown; parts: readonly unknown[] }): Chunk[] {
  const start = { type: "start", messageId: message.id, ...present("messageMetadata", message.metadata) };
  return [start, ...message.parts.flatMap((part, index) => chunksOfPart(part as Part, `stored ${index}`))];
}

function chunksOfPart(part: Part, place: string): Chunk[] {
  if (part.type === "step-start") return [{ type: "start-step" }];
  if (part.type === "text" || part.type === "reasoning") return chunksOfText(part, part.type, place);
  return "toolCallId" in part ? chunksOfToolCall(part) : [part as Chunk];
}

function chunksOfText({ id, text, state, providerMetadata, citations }: Part, type: string, place: string): Chunk[] {
  const of = { id: id ?? place, ...present("providerMetadata", providerMetadata) };
  const chunks = [
    { ...of, type: `${type}-start` },
    { ...of, type: `${type}-delta`, delta: text },
  ];
  return state === "streaming"
    ? chunks
    : [...chunks, { ...of, type: `${type}-end`, ...present("citations", citations) }];
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
  // Of an approval that was given there is no chunk that all three know: the call shows as running, which it is.
  if (state === "approval-requested" && isRecord(approval)) {
    const { id: approvalId, signature } = approval;
    chunks.push({ type: "tool-approval-request", approvalId, toolCallId, ...present("signature", signature) });
  } else if (state === "output-available") {
    chunks.push({ ...of, type: "tool-output-available", output, ...present("preliminary", part.preliminary) });
  } else if (state === "output-error") chunks.push({ ...of, type: "tool-output-error", errorText });
  else if (state === "output-denied") chunks.push({ type: "tool-output-denied", toolCallId });
  return chunks;
}

const isRecord = (value: unknown): value is Part => typeof value === "object" && value !== null;

/** The SDK refuses a chunk with a key that is there and undefined. */
const present = (key: string, value: unknown) => (value === undefined ? {} : { [key]: value });

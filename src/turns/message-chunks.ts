import type { Part } from "./parts.ts";
import type { Protocol } from "./protocol.ts";
import type { Chunk } from "./sse-events.ts";
import { chunksOfToolCall, ifDefined } from "./tool-call-chunks.ts";

/**
 * A stored message as the chunks of a stream that the client reads back to the same message. Without an end.
 *
 * The client calls `onData` for each data part, also for one that it has shown before: no other chunk makes a data part.
 */
export function chunksOf(
  message: { id: string; metadata?: unknown; parts: readonly unknown[] },
  protocol: Protocol,
): Chunk[] {
  const start = { type: "start", messageId: message.id, ...ifDefined("messageMetadata", message.metadata) };
  return [start, ...message.parts.flatMap((part, index) => chunksOfPart(part as Part, `stored ${index}`, protocol))];
}

function chunksOfPart(part: Part, place: string, protocol: Protocol): Chunk[] {
  if (part.type === "step-start") return [{ type: "start-step" }];
  if (part.type === "text" || part.type === "reasoning") return chunksOfText(part, part.type, place);
  return "toolCallId" in part ? chunksOfToolCall(part, protocol) : [part as Chunk];
}

function chunksOfText({ id, text, state, providerMetadata, citations }: Part, type: string, place: string): Chunk[] {
  const of = { id: id ?? place, ...ifDefined("providerMetadata", providerMetadata) };
  const chunks = [
    { ...of, type: `${type}-start` },
    { ...of, type: `${type}-delta`, delta: text },
  ];
  return state === "streaming"
    ? chunks
    : [...chunks, { ...of, type: `${type}-end`, ...ifDefined("citations", citations) }];
}

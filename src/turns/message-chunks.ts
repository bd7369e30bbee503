import type { Part } from "../conversation/parts.ts";
import type { SdkProtocol } from "./sdk-protocol.ts";
import type { Chunk } from "./sse-events.ts";
import { ifDefined, toolCallToChunks } from "./tool-call-chunks.ts";

/**
 * Converts a stored message to the chunks of a stream that the client reads back to the same message. Leaves out the
 * last chunk, because the caller knows how the stream ends.
 *
 * The client calls `onData` for each data part, also for one that it showed before: no other chunk makes a data part.
 */
export function toStreamChunks(
  message: { id: string; metadata?: unknown; parts: readonly unknown[] },
  protocol: SdkProtocol,
): Chunk[] {
  const start = { type: "start", messageId: message.id, ...ifDefined("messageMetadata", message.metadata) };
  return [start, ...message.parts.flatMap((part, index) => partToChunks(part as Part, `stored ${index}`, protocol))];
}

function partToChunks(part: Part, fallbackId: string, protocol: SdkProtocol): Chunk[] {
  if (part.type === "step-start") return [{ type: "start-step" }];
  if (part.type === "text" || part.type === "reasoning") return textToChunks(part, part.type, fallbackId);
  return "toolCallId" in part ? toolCallToChunks(part, protocol) : [part as Chunk];
}

function textToChunks(part: Part, type: string, fallbackId: string): Chunk[] {
  const { id, text, state, providerMetadata, citations } = part;
  const common = { id: id ?? fallbackId, ...ifDefined("providerMetadata", providerMetadata) };
  const chunks = [
    { ...common, type: `${type}-start` },
    { ...common, type: `${type}-delta`, delta: text },
  ];
  return state === "streaming"
    ? chunks
    : [...chunks, { ...common, type: `${type}-end`, ...ifDefined("citations", citations) }];
}

import { isRecord, type Part, toolNameOf } from "./parts.ts";
import type { Protocol } from "./protocol.ts";
import type { Chunk } from "./sse-events.ts";

/**
 * A stored tool call as chunks.
 *
 * The client calls `onToolCall` at each `tool-input-available`. So only a call that waits for the page is given so, for its output or for
 * an approval. One that is past that is given as input that streamed in, at which the client calls nothing. Where no output follows, or
 * with ai 5 and 6 an error, the text of that input stays in the part as its `rawInput`.
 *
 * A call that waits is announced also at the beginning of a continuation, where the page may have shown it before: the database has no
 * output of it, no other chunk makes the part `input-available`, and in any other state the page could not give the output.
 */
export function chunksOfToolCall(part: Part, protocol: Protocol): Chunk[] {
  const { toolCallId, state, input } = part;
  const call: Part = {
    toolCallId,
    toolName: toolNameOf(part),
    ...(part.type === "dynamic-tool" && { dynamic: true }),
    ...ifDefined("providerExecuted", part.providerExecuted),
    ...ifDefined("title", part.title),
    ...ifDefined("toolMetadata", part.toolMetadata),
    ...ifDefined("providerMetadata", part.callProviderMetadata),
  };
  const start: Chunk = { ...call, type: "tool-input-start" };
  const streamed = (text: string | undefined): Chunk[] =>
    text === undefined ? [] : [{ type: "tool-input-delta", toolCallId, inputTextDelta: text }];
  if (state === "input-streaming") {
    return [{ ...start, ...ifDefined("inputEncoding", part.inputEncoding) }, ...streamed(unfinishedText(part))];
  }
  // Without a key `input`, ai 5 and 6 refuse the chunk.
  const available: Chunk = { ...call, type: "tool-input-available", input: input ?? null };
  if (state === "input-available") return [available];

  const silently: Chunk[] = [
    // With ai 5, a call that failed at once is the only other one that gets the provider's metadata.
    ...(call.providerMetadata === undefined || protocol.readsMetadataAtStart
      ? []
      : [{ ...call, type: "tool-input-error", input: null, errorText: "" }]),
    start,
    ...streamed(JSON.stringify(input)),
  ];
  // The client calls nothing for a tool that the provider runs.
  const isForProvider = part.providerExecuted === true && input !== undefined;
  const given = state === "approval-requested" || isForProvider ? [available] : silently;
  const chunks = [...given, ...chunksOfApproval(part, protocol)];
  if (state === "output-available" || state === "output-error") chunks.push(chunkOfResult(part, call, protocol));
  else if (state === "output-denied" && protocol.readsApprovalRequests) {
    chunks.push({ type: "tool-output-denied", toolCallId });
  }
  // An approval that was given, to a client that cannot be told so: it must not ask for it again.
  else if (state === "approval-responded" && !protocol.readsApprovalResponses) chunks.push(...silently);
  return chunks;
}

/** As much of an input as had come. */
function unfinishedText({ input, rawInput }: Part): string | undefined {
  if (typeof rawInput === "string") return rawInput;
  // What the SDK makes of the beginning of a JSON text.
  return JSON.stringify(input)?.replace(/["}\]]*$/, "");
}

function chunksOfApproval({ toolCallId, state, approval }: Part, protocol: Protocol): Chunk[] {
  if (!isRecord(approval) || !protocol.readsApprovalRequests) return [];
  const { id: approvalId, approved } = approval;
  const request = {
    type: "tool-approval-request",
    approvalId,
    toolCallId,
    ...ifDefined("approvalDescriptor", approval.descriptor),
    ...ifDefined("inputSchemaInput", approval.inputSchemaInput),
    ...ifDefined("reason", approval.requestReason),
    ...ifDefined("isAutomatic", approval.isAutomatic),
    ...ifDefined("signature", approval.signature),
  };
  const hasResponse = state !== "approval-requested" && typeof approved === "boolean";
  return hasResponse && protocol.readsApprovalResponses
    ? [request, { type: "tool-approval-response", approvalId, approved, ...ifDefined("reason", approval.reason) }]
    : [request];
}

function chunkOfResult(part: Part, { providerMetadata: _, ...call }: Part, protocol: Protocol): Chunk {
  const { toolCallId, state, input, rawInput, output, errorText } = part;
  const metadata = ifDefined("providerMetadata", part.resultProviderMetadata);
  const result = {
    toolCallId,
    ...ifDefined("dynamic", call.dynamic),
    ...ifDefined("providerExecuted", part.providerExecuted),
    ...metadata,
  };
  if (state === "output-available") {
    // JSON leaves an output of undefined away, and the client refuses a chunk without one.
    return {
      ...result,
      type: "tool-output-available",
      output: output ?? null,
      ...ifDefined("preliminary", part.preliminary),
    };
  }
  const failed = input === undefined ? rawInput : input;
  const isOfInput = protocol.readsInputOfErrors || input === undefined;
  return failed !== undefined && isOfInput
    ? { ...call, ...metadata, type: "tool-input-error", input: failed, errorText }
    : { ...result, type: "tool-output-error", errorText };
}

/** Spread into a chunk, because the SDK refuses a chunk with a key whose value is undefined. */
export const ifDefined = (key: string, value: unknown) => (value === undefined ? {} : { [key]: value });

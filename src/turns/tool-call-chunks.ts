import { isRecord, type Part, toolNameOf } from "../conversation/parts.ts";
import type { SdkProtocol } from "./sdk-protocol.ts";
import type { Chunk } from "./sse-events.ts";

/**
 * Converts a stored tool call to chunks.
 *
 * The client calls `onToolCall` at each `tool-input-available`. So only a call that waits for the page, for its output
 * or for an approval, becomes that chunk. Any other call becomes input that streamed in, at which the client calls
 * nothing. If no output follows, or with ai 5 and 6 an error, the text of that input stays in the part as `rawInput`.
 *
 * A waiting call is announced at the beginning of a continuation, too, although the page may have shown it before: no
 * other chunk makes the part `input-available`, and in any other state the page could not give the output.
 */
export function toolCallToChunks(part: Part, protocol: SdkProtocol): Chunk[] {
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
  const delta = (text: string | undefined): Chunk[] =>
    text === undefined ? [] : [{ type: "tool-input-delta", toolCallId, inputTextDelta: text }];
  if (state === "input-streaming") {
    return [{ ...start, ...ifDefined("inputEncoding", part.inputEncoding) }, ...delta(unfinishedInput(part))];
  }
  // Without a key `input`, ai 5 and 6 refuse the chunk.
  const announced: Chunk = { ...call, type: "tool-input-available", input: input ?? null };
  if (state === "input-available") return [announced];

  const streamed: Chunk[] = [
    // With ai 5, a call that failed at once is the only other one that gets the provider's metadata.
    ...(call.providerMetadata === undefined || protocol.readsMetadataAtStart
      ? []
      : [{ ...call, type: "tool-input-error", input: null, errorText: "" }]),
    start,
    ...delta(JSON.stringify(input)),
  ];
  // The client does not call `onToolCall` for a tool that the provider runs.
  const isForProvider = part.providerExecuted === true && input !== undefined;
  const inputChunks = state === "approval-requested" || isForProvider ? [announced] : streamed;
  const chunks = [...inputChunks, ...approvalToChunks(part, protocol)];
  if (state === "output-available" || state === "output-error") chunks.push(resultToChunk(part, call, protocol));
  else if (state === "output-denied" && protocol.readsApprovalRequests) {
    chunks.push({ type: "tool-output-denied", toolCallId });
  }
  // The client cannot be told of the user's response, and must not ask for the approval again.
  else if (state === "approval-responded" && !protocol.readsApprovalResponses) chunks.push(...streamed);
  return chunks;
}

/** As much of the input as the model had written. */
function unfinishedInput({ input, rawInput }: Part): string | undefined {
  if (typeof rawInput === "string") return rawInput;
  // The SDK parses the beginning of a JSON text by closing its strings, arrays and objects.
  return JSON.stringify(input)?.replace(/["}\]]*$/, "");
}

function approvalToChunks({ toolCallId, state, approval }: Part, protocol: SdkProtocol): Chunk[] {
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

function resultToChunk(part: Part, { providerMetadata: _, ...call }: Part, protocol: SdkProtocol): Chunk {
  const { toolCallId, state, input, rawInput, output, errorText } = part;
  const metadata = ifDefined("providerMetadata", part.resultProviderMetadata);
  const result = {
    toolCallId,
    ...ifDefined("dynamic", call.dynamic),
    ...ifDefined("providerExecuted", part.providerExecuted),
    ...metadata,
  };
  if (state === "output-available") {
    // JSON drops an output that is undefined, and the client refuses a chunk without an output.
    return {
      ...result,
      type: "tool-output-available",
      output: output ?? null,
      ...ifDefined("preliminary", part.preliminary),
    };
  }
  const failedInput = input === undefined ? rawInput : input;
  const canCarryInput = protocol.readsInputOfErrors || input === undefined;
  return failedInput !== undefined && canCarryInput
    ? { ...call, ...metadata, type: "tool-input-error", input: failedInput, errorText }
    : { ...result, type: "tool-output-error", errorText };
}

/** Spread into a chunk, because the SDK refuses a chunk with a key whose value is undefined. */
export const ifDefined = (key: string, value: unknown) => (value === undefined ? {} : { [key]: value });

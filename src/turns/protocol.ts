/** What one version of the SDK makes of the chunks of a stream, as far as versions differ. */
export interface Protocol {
  /** It knows `tool-approval-request` and `tool-output-denied`: ai 6 and 7. */
  readsApprovalRequests: boolean;
  /** It knows `tool-approval-response`: ai 7. The clients of ai 5 and 6 refuse a stream with a chunk that they do not know. */
  readsApprovalResponses: boolean;
  /** `tool-input-start` may carry the provider's metadata of the call: ai 6 and 7. */
  readsMetadataAtStart: boolean;
  /** `tool-input-error` gives a call its input: ai 7. In ai 5 and 6 it gives `rawInput`. */
  readsInputOfErrors: boolean;
}

/** Taken where the installed version cannot be tried: ai 6 and 7 both read what follows from it, and ai 5 stores no approvals. */
const unknown: Protocol = {
  readsApprovalRequests: true,
  readsApprovalResponses: false,
  readsMetadataAtStart: true,
  readsInputOfErrors: false,
};

let installed: Promise<Protocol> | undefined;

/**
 * The protocol of the SDK that the application has installed. A page is built with the same one. A page that is still open from before
 * an upgrade to ai 7 shows an error for a stored approval, until it is loaded again.
 *
 * The SDK is imported when this is asked for the first time, and not when the package is.
 */
export function installedProtocol(): Promise<Protocol> {
  installed ??= import("ai").then(protocolOf).catch(() => unknown);
  return installed;
}

/** Found by trying: minor versions differ, too, and none of them says what it knows. */
export async function protocolOf({ readUIMessageStream }: { readUIMessageStream: unknown }): Promise<Protocol> {
  const read = readUIMessageStream as (options: { stream: ReadableStream<unknown> }) => AsyncIterable<unknown>;
  const chunks = [
    { type: "start", messageId: "message" },
    { type: "tool-input-start", toolCallId: "asks", toolName: "tool", providerMetadata: { any: {} } },
    { type: "tool-approval-request", toolCallId: "asks", approvalId: "approval" },
    { type: "tool-approval-response", approvalId: "approval", approved: true },
    { type: "tool-input-error", toolCallId: "fails", toolName: "tool", input: 0, errorText: "" },
  ];
  const stream = new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
  let message: unknown;
  for await (const next of read({ stream })) message = next;
  const [asks, fails] = (message as { parts: Record<string, unknown>[] }).parts;
  const approval = asks?.approval as { approved?: boolean } | undefined;
  return {
    readsApprovalRequests: approval !== undefined,
    readsApprovalResponses: approval?.approved === true,
    readsMetadataAtStart: asks?.callProviderMetadata !== undefined,
    readsInputOfErrors: fails?.input === 0,
  };
}

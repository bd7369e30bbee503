/** How the installed version of the SDK reads the chunks of a stream, where versions differ. */
export interface SdkProtocol {
  /** It knows `tool-approval-request` and `tool-output-denied`: ai 6 and 7. */
  readsApprovalRequests: boolean;
  /** It knows `tool-approval-response`: ai 7. The clients of ai 5 and 6 refuse a stream with an unknown chunk. */
  readsApprovalResponses: boolean;
  /** `tool-input-start` may carry the provider's metadata of the call: ai 6 and 7. */
  readsMetadataAtStart: boolean;
  /** `tool-input-error` gives a call its input: ai 7. In ai 5 and 6 it gives `rawInput`. */
  readsInputOfErrors: boolean;
}

/** For an SDK that cannot be tried: ai 6 and 7 both read these chunks, and ai 5 stores no approvals. */
const fallbackProtocol: SdkProtocol = {
  readsApprovalRequests: true,
  readsApprovalResponses: false,
  readsMetadataAtStart: true,
  readsInputOfErrors: false,
};

let installed: Promise<SdkProtocol> | undefined;

/**
 * The protocol of the SDK that the application has installed. Its pages are built with the same SDK. A page that is
 * still open from before an upgrade to ai 7 shows an error for a stored approval until it is loaded again.
 *
 * Imports the SDK with the first call, so that an import of the package does not import it.
 */
export function installedProtocol(): Promise<SdkProtocol> {
  installed ??= import("ai").then(detectProtocol).catch(() => fallbackProtocol);
  return installed;
}

/** Tries the SDK with a stream, because minor versions differ, too, and no version says which chunks it knows. */
export async function detectProtocol({ readUIMessageStream }: { readUIMessageStream: unknown }): Promise<SdkProtocol> {
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

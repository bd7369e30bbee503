import { digestOf, type MessageRow, toMessage } from "../conversation/message-row.ts";
import type { RunningTurn } from "../conversation/running-turns.ts";
import { toStreamChunks } from "./message-chunks.ts";
import { installedProtocol } from "./sdk-protocol.ts";
import { doneEvent, toSseEvent } from "./sse-events.ts";

/** Ends the stream of an answer that was cut off: clients keep the text so far, and know that it is not the whole. */
export const interruption = toSseEvent({
  type: "error",
  errorText: "The answer was interrupted. Load the chat again to see how much of it is stored.",
});

/** Streams a stored answer as the SDK would. The answer of a dead turn ends with the interruption. */
export async function* streamAnswer(answer: MessageRow, turns: readonly RunningTurn[]): AsyncGenerator<string> {
  const isRecovered = turns.some(({ recoveredDigest }) => recoveredDigest === digestOf(answer));
  yield* await toSseEvents(answer);
  yield isRecovered ? interruption : toSseEvent({ type: "finish" });
  yield doneEvent;
}

/** The events from which a client makes this message, without an end. */
export async function toSseEvents(row: MessageRow): Promise<string[]> {
  return toStreamChunks(toMessage(row), await installedProtocol()).map(toSseEvent);
}

/** A chunk of the stream of a message, as the SDK defines them. */
export type Chunk = { type: string } & Record<string, unknown>;

/** A server-sent event: its chunk, and its text as it was received. A merged event has no such text. */
interface SseEvent {
  chunk: Chunk;
  text?: string;
}

export const toSseEvent = (chunk: object): string => `data: ${JSON.stringify(chunk)}\n\n`;

const parseSseEvent = (text: string): SseEvent => ({
  chunk: JSON.parse(text.slice("data: ".length)),
  text: `${text}\n\n`,
});

/** The event that ends the stream of a response. */
export const doneEvent = "data: [DONE]\n\n";

const holdsChunk = (text: string) => text.startsWith("data: {");

/**
 * The last event of a recording whose stream came to its end. Many streams do not say so themselves: only those of the
 * SDK's models end with a chunk `finish` or `abort`. It is a comment, so clients skip it.
 */
const endMarker = ": over\n\n";

/** Whether a piece of a recording ends with the marker of a stream that came to its end. */
export const hasEndMarker = (piece: string): boolean => piece.endsWith(endMarker);

/** Whether a piece of a recording holds the end of its stream, also the end of a stopped one. */
export const hasStreamEnd = (piece: string): boolean =>
  hasEndMarker(piece) || (/"type":"(finish|abort)"/.test(piece) && parseStreamChunks([piece]).some(isLastChunk));

const isLastChunk = ({ type }: Chunk) => type === "finish" || type === "abort";

/** Keeps the events of a stream until the next piece of its recording is written. */
export function createEventBuffer() {
  let unfinished = "";
  let events: SseEvent[] = [];
  let hasEnded = false;
  let needsEndMarker = false;
  let size = 0;
  return {
    /** Takes any piece of the stream. The SDK passes one event at a time, but does not promise it. */
    add(piece: string): void {
      const texts = (unfinished + piece).split("\n\n");
      unfinished = texts.pop() ?? "";
      for (const text of texts.filter(holdsChunk)) {
        const event = parseSseEvent(text);
        events.push(event);
        size += text.length;
        hasEnded ||= isLastChunk(event.chunk);
      }
    },

    /** Empties the buffer and returns its events as one text. */
    take(): string {
      const texts = mergeDeltas(events).map(({ chunk, text }) => text ?? toSseEvent(chunk));
      if (needsEndMarker) texts.push(endMarker);
      events = [];
      needsEndMarker = false;
      size = 0;
      return texts.join("");
    },

    /** The stream came to its end. */
    end(): void {
      needsEndMarker ||= !hasEnded;
      hasEnded = true;
    },

    count: () => events.length + (needsEndMarker ? 1 : 0),
    /** In UTF-16 units, before events are merged. */
    size: () => size + unfinished.length,
    /** Whether the last chunk of the message is among the events so far. */
    hasEnded: () => hasEnded,
  };
}

/** The chunks of a recording, merged also across the borders of its pieces. */
export const parseStreamChunks = (pieces: readonly string[]): Chunk[] =>
  mergeDeltas(pieces.flatMap((piece) => piece.split("\n\n").filter(holdsChunk).map(parseSseEvent))).map(
    ({ chunk }) => chunk,
  );

/** Merges adjacent deltas of one text. Otherwise most of a recording would be the JSON around a few letters. */
function mergeDeltas(events: readonly SseEvent[]): SseEvent[] {
  const merged: SseEvent[] = [];
  for (const event of events) {
    const [before, after] = [deltaOf(merged.at(-1)), deltaOf(event)];
    if (before && after && before.type === after.type && before.textId === after.textId) {
      merged[merged.length - 1] = { chunk: { ...event.chunk, [after.field]: before.delta + after.delta } };
    } else merged.push(event);
  }
  return merged;
}

const deltaFields: Record<string, { id: string; delta: string }> = {
  "text-delta": { id: "id", delta: "delta" },
  "reasoning-delta": { id: "id", delta: "delta" },
  "tool-input-delta": { id: "toolCallId", delta: "inputTextDelta" },
};

/** The text that an event adds, if it holds nothing else. A delta with `providerMetadata`, say, is not merged. */
function deltaOf(event: SseEvent | undefined) {
  const fields = event && deltaFields[event.chunk.type];
  if (!fields || Object.keys(event.chunk).length !== 3) return undefined;
  const [textId, delta] = [event.chunk[fields.id], event.chunk[fields.delta]];
  return typeof textId === "string" && typeof delta === "string"
    ? { type: event.chunk.type, textId, delta, field: fields.delta }
    : undefined;
}

/** A chunk of the stream of a message, as the SDK has them. */
export type Chunk = { type: string } & Record<string, unknown>;

/** A server-sent event: what it holds, and how it came. One that was merged has not come like this. */
interface Event {
  chunk: Chunk;
  text?: string;
}

export const eventOf = (chunk: object): string => `data: ${JSON.stringify(chunk)}\n\n`;

/**
 * What a recording ends with if its stream came to its end. Not every stream says so itself: only one of the SDK's models ends with a
 * chunk `finish` or `abort`. A comment, which clients skip.
 */
const over = ": over\n\n";

/** Whether a piece of a recording is the last of a stream that nothing has cut off. */
export const isOver = (text: string): boolean => text.endsWith(over);

/** Whether a piece of a recording holds the end of its stream, also of one that was stopped. */
export const hasEnd = (text: string): boolean =>
  isOver(text) || (/"type":"(finish|abort)"/.test(text) && chunksIn([text]).some(isEnd));

const isEnd = ({ type }: Chunk) => type === "finish" || type === "abort";

const eventIn = (text: string): Event => ({ chunk: JSON.parse(text.slice("data: ".length)), text: `${text}\n\n` });
/** Comments and the end mark, "data: [DONE]", are not. */
const isOfMessage = (text: string) => text.startsWith("data: {");

/** Collects the events of a stream until they are written. */
export function createCollector() {
  let unfinished = "";
  let events: Event[] = [];
  let hasEnded = false;
  let isComplete = false;
  let size = 0;
  return {
    /** Takes any piece of the stream. The SDK hands over an event at a time, but does not promise it. */
    add(piece: string): void {
      const texts = (unfinished + piece).split("\n\n");
      unfinished = texts.pop() ?? "";
      for (const text of texts.filter(isOfMessage)) {
        const event = eventIn(text);
        events.push(event);
        size += text.length;
        hasEnded ||= isEnd(event.chunk);
      }
    },

    /** Everything collected, as one text. */
    take(): string {
      const texts = merge(events).map(({ chunk, text }) => text ?? eventOf(chunk));
      if (isComplete) texts.push(over);
      events = [];
      isComplete = false;
      size = 0;
      return texts.join("");
    },

    /** Nothing more will come, and what has come is all of it. */
    end(): void {
      isComplete ||= !hasEnded;
      hasEnded = true;
    },

    count: () => events.length + (isComplete ? 1 : 0),
    /** In UTF-16 units, before anything is merged. */
    size: () => size + unfinished.length,
    /** Whether the chunk that ends a message has come. */
    hasEnded: () => hasEnded,
  };
}

/** The chunks of texts that a collector has given, merged also where it was cut. */
export const chunksIn = (texts: readonly string[]): Chunk[] =>
  merge(texts.flatMap((text) => text.split("\n\n").filter(isOfMessage).map(eventIn))).map(({ chunk }) => chunk);

/** Adjacent deltas of one text become one, or most of what is written would be what stands around four letters. */
function merge(events: readonly Event[]): Event[] {
  const merged: Event[] = [];
  for (const event of events) {
    const [before, after] = [deltaIn(merged.at(-1)), deltaIn(event)];
    if (before && after && before.type === after.type && before.of === after.of) {
      merged[merged.length - 1] = { chunk: { ...event.chunk, [after.name]: before.delta + after.delta } };
    } else merged.push(event);
  }
  return merged;
}

const deltas: Record<string, { id: string; name: string }> = {
  "text-delta": { id: "id", name: "delta" },
  "reasoning-delta": { id: "id", name: "delta" },
  "tool-input-delta": { id: "toolCallId", name: "inputTextDelta" },
};

/** What an event adds to a text, if that is all it holds: one with `providerMetadata`, say, stays as it is. */
function deltaIn(event: Event | undefined) {
  const names = event && deltas[event.chunk.type];
  if (!names || Object.keys(event.chunk).length !== 3) return undefined;
  const [of, delta] = [event.chunk[names.id], event.chunk[names.name]];
  return typeof of === "string" && typeof delta === "string"
    ? { type: event.chunk.type, of, delta, name: names.name }
    : undefined;
}

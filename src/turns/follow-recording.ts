import { baseOfRecording, confirmAfter } from "./recover-turns.ts";
import { sleep } from "./sleep.ts";
import { doneEvent, hasStreamEnd, parseStreamChunks, toSseEvent } from "./sse-events.ts";
import { interruption, streamAnswer, toSseEvents } from "./stream-answer.ts";
import type { RecordedTurn, RecordingPage } from "./turn-queries.ts";
import type { TurnReader } from "./turn-reader.ts";

/** Milliseconds between two reads: the first after a piece was read, the longest, and after a long silence. */
const pauses = { shortest: 100, longest: 300, inSilence: 1_000 };
/** Milliseconds without a piece after which reads become rare. */
const longSilence = 3_000;
/** Milliseconds without an event after which a comment is sent, because proxies close connections that seem idle. */
const keepAliveInterval = 10_000;

/** How much of the recording was sent, and how it ended. */
type Outcome = "nothing sent" | "complete" | "interrupted" | "cancelled";

/** Streams the recording of a turn while it is written, beginning with its first page. */
export async function* followRecording(
  reader: TurnReader,
  first: RecordingPage,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const outcome = yield* streamPieces(reader, first, signal);
  if (outcome === "cancelled") return;
  if (outcome === "nothing sent") return yield* streamReplacement(reader, first.turn, signal);
  if (outcome === "interrupted") yield interruption;
  yield doneEvent;
}

async function* streamPieces(
  reader: TurnReader,
  first: RecordingPage,
  signal: AbortSignal,
): AsyncGenerator<string, Outcome> {
  const turnId = first.turn.id;
  let position = 0;
  let hasSentEnd = false;
  let silentSince: number | undefined;
  let lastPieceAt = performance.now();
  let lastEventAt = lastPieceAt;
  let pause = pauses.shortest;
  const outcome = (isInterrupted: boolean): Outcome => {
    if (position === 0) return "nothing sent";
    return isInterrupted || !hasSentEnd ? "interrupted" : "complete";
  };

  let page: RecordingPage | undefined = first;
  for (; !signal.aborted; page = await reader.readPage({ turnId, position })) {
    // The turn has ended unrecorded or more than a minute ago, or was superseded, or its chat was deleted or claimed.
    if (!page) return outcome(false);
    const { turn, pieces, isLastPage } = page;
    if (pieces.length > 0) {
      if (position === 0) {
        const beginning = await beginningOf(reader, page);
        if (beginning === "turn is over") return "nothing sent";
        yield* beginning;
      }
      for (const piece of pieces) {
        hasSentEnd ||= hasStreamEnd(piece);
        yield piece;
      }
      position += pieces.length;
      lastPieceAt = lastEventAt = performance.now();
      pause = pauses.shortest;
    }
    if (!isLastPage) continue;

    silentSince = isSilent(turn) ? (silentSince ?? performance.now()) : undefined;
    const isConfirmed = silentSince === undefined || performance.now() - silentSince >= confirmAfter;
    if (turn.isStale && isConfirmed) {
      await reader.recover(true);
      return outcome(true);
    }
    if (turn.isEnded) return outcome(turn.isInterrupted);
    if (performance.now() - lastEventAt > keepAliveInterval) {
      yield ": still here\n\n";
      lastEventAt = performance.now();
    }
    await sleep(performance.now() - lastPieceAt > longSilence ? pauses.inSilence : pause, signal);
    pause = Math.min(pause * 1.5, pauses.longest);
  }
  return "cancelled";
}

/** Only the turn's missing heartbeats say that it is dead. An outage of the database looks the same. */
export const isSilent = ({ isStale, isAbandoned }: RecordedTurn) => isStale && !isAbandoned;

/**
 * The events that a client needs before the first piece: the message that the turn continues, or the start of a message
 * if something else was recorded first.
 *
 * A turn that is over may have saved its answer, so that the stored message has these pieces already. One statement
 * saves the answer and ends the turn, and one statement loads both here: while the turn runs, the message has none of
 * its pieces, unless the turn was declared dead before.
 */
async function beginningOf(
  reader: TurnReader,
  { turn: { id, questionId, answerId }, pieces }: RecordingPage,
): Promise<string[] | "turn is over"> {
  if (questionId !== answerId) {
    const [first] = parseStreamChunks(pieces.slice(0, 1));
    return first?.type === "start" ? [] : [toSseEvent({ type: "start", messageId: answerId })];
  }
  const chat = await reader.loadLastMessage(questionId);
  const running = chat?.turns.find((turn) => turn.id === id && !turn.isInterrupted);
  const question = chat?.rows.find((row) => row.id === questionId);
  const base = running && question && baseOfRecording(question, running);
  return base ? toSseEvents(base) : "turn is over";
}

/** For a turn that was over before any of it was sent: streams the turn that took its place, or its stored answer. */
async function* streamReplacement(
  reader: TurnReader,
  { id, questionId, answerId }: RecordedTurn,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const newest = await reader.readPage({ position: 0 });
  if (newest && newest.turn.id !== id && newest.turn.questionId === questionId) {
    return yield* followRecording(reader, newest, signal);
  }
  const chat = await reader.loadLastMessage(answerId);
  const answer = chat?.rows.find((row) => row.id === answerId);
  if (chat && answer) return yield* streamAnswer(answer, chat.turns);
  // Without a chat, it was deleted or claimed. With one, the answer was empty.
  if (!chat) yield interruption;
  yield doneEvent;
}

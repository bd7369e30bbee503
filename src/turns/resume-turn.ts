import type { StoredChat } from "../conversation/load-chat.ts";
import { loadWindow, type Window } from "../conversation/load-window.ts";
import { digestOf, type MessageRow, toMessage } from "../conversation/message-row.ts";
import { retryWithLock } from "../conversation/retry-with-lock.ts";
import type { Context } from "../database/context.ts";
import { writeConflict } from "../database/retry-on-conflict.ts";
import { asUser } from "../database/row-level-security.ts";
import { refuseTransaction } from "../database/transaction.ts";
import { withTypedErrors } from "../errors/typed-errors.ts";
import type { Parsed, resumeTurnInput } from "../input.ts";
import { toStreamChunks } from "./message-chunks.ts";
import { loadRecovered, messageBefore, seemsDead, untilSecondLook, withSecondLook } from "./recover-turn.ts";
import { installedProtocol } from "./sdk-protocol.ts";
import { doneEvent, hasStreamEnd, parseStreamChunks, toSseEvent } from "./sse-events.ts";
import { type RecordedPage, type RecordedTurn, readRecording } from "./turn-queries.ts";

/** Milliseconds between two looks at a recording: the first after something came, the longest, and after a long silence. */
const pauses = { shortest: 100, longest: 300, whenSilent: 1_000 };
/** Milliseconds of silence after which looks become rare, and after which a proxy may want to see that the line is alive. */
const [longSilence, tooLongForProxies] = [3_000, 10_000];

/** With an error the clients keep what they show, and do not take it for an end that they may go on from. */
const interruption = {
  type: "error",
  errorText: "The answer was interrupted. What is stored of it shows when the chat is loaded again.",
};

export async function resumeTurn(
  context: Context,
  { userId, chatId, version }: Parsed<typeof resumeTurnInput>,
): Promise<ReadableStream<Uint8Array> | null> {
  refuseTransaction(context, "will have ended before the stream has");
  const ids = { userId, chatId };
  const asOwner = <T>(work: (context: Context) => Promise<T>) => asUser(context, ids, work);
  const load = (window: Window) => asOwner((context) => loadWindow(context, ids, window));
  const read = (from: { turnId?: string; position: number }) => asOwner((context) => readRecording(context, ids, from));

  let hadSecondLook = false;
  const found = await readTwice();
  if (found && !found.turn.isStale) return streamOf((signal) => live(found, signal));
  const chat = await (found ? recover() : load({ limit: 1, forTurn: true }));
  const last = chat?.rows.at(-1);
  const isNews =
    last?.role === "assistant" &&
    (last.id === found?.turn.answerId || (version !== undefined && chat && chat.chat.version > version));
  if (!isNews) return null;
  const isInterrupted = chat?.turns.some((turn) => turn.recoveredDigest === digestOf(last));
  return streamOf(() => whole(last, isInterrupted ? interruption : { type: "finish" }));

  /** The recording's first page, read again some time later if its turn seems dead. */
  async function readTwice(): Promise<RecordedPage | undefined> {
    const page = await read({ position: 0 });
    if (!page || !isSilent(page.turn)) return page;
    await sleep(untilSecondLook, new AbortController().signal);
    hadSecondLook = true;
    // Another page may have taken it for dead meanwhile.
    return read({ turnId: page.turn.id, position: 0 });
  }

  /** The chat, with the recording of a turn that has died as its answer. */
  async function recover(): Promise<StoredChat | null> {
    const { recovered } = await withSecondLook((isSecond) =>
      asOwner((context) =>
        retryWithLock(context, ids, async (context) => {
          const looks = { window: { limit: 1 }, hadSecondLook: hadSecondLook || isSecond };
          const recovered = await loadRecovered(context, ids, looks);
          return recovered === writeConflict || recovered === seemsDead ? recovered : { recovered };
        }),
      ),
    );
    return recovered;
  }

  /** A turn's recording, as it comes. */
  async function* live(first: RecordedPage, signal: AbortSignal): AsyncGenerator<string, void, void> {
    const { turn } = first;
    let position = 0;
    let hasSeenEnd = false;
    let silentSince: number | undefined;
    let pause = pauses.shortest;
    let [heard, shown] = [performance.now(), performance.now()];
    for (
      let page: RecordedPage | undefined = first;
      !signal.aborted;
      page = await read({ turnId: turn.id, position })
    ) {
      if (!page) {
        // It was not recorded and has ended; or the reader is a minute behind; or it was superseded, or its chat deleted or claimed.
        if (position === 0) return yield* instead(turn, signal);
        if (!hasSeenEnd) yield toSseEvent(interruption);
        return yield doneEvent;
      }
      if (position === 0 && page.texts.length > 0) {
        const isContinuation = turn.questionId === turn.answerId;
        const beginning = isContinuation ? await continuedBy(turn) : startOf(turn, page.texts);
        if (!beginning) return yield* instead(turn, signal);
        yield* beginning;
      }
      for (const text of page.texts) {
        hasSeenEnd ||= hasStreamEnd(text);
        yield text;
      }
      position += page.texts.length;
      if (page.texts.length > 0) [heard, shown, pause] = [performance.now(), performance.now(), pauses.shortest];
      if (!page.isLastPage) continue;

      silentSince = isSilent(page.turn) ? (silentSince ?? performance.now()) : undefined;
      const isBeforeSecondLook = silentSince !== undefined && performance.now() - silentSince < untilSecondLook;
      const isDead = page.turn.isStale && !isBeforeSecondLook;
      hadSecondLook ||= isDead;
      if (isDead) await recover();
      if (isDead || page.turn.isEnded) {
        if (position === 0) return yield* instead(turn, signal);
        if (isDead || page.turn.isInterrupted || !hasSeenEnd) yield toSseEvent(interruption);
        return yield doneEvent;
      }
      if (performance.now() - shown > tooLongForProxies) {
        yield ": still here\n\n";
        shown = performance.now();
      }
      await sleep(performance.now() - heard > longSilence ? pauses.whenSilent : pause, signal);
      pause = Math.min(pause * 1.5, pauses.longest);
    }
  }

  /**
   * What a client needs before the recording of a continuation: the message that is continued.
   *
   * @returns undefined if the turn is over. Then what it has recorded may be in that message already. The message is loaded together
   * with the turn's mark, and the statement that saves the answer changes both: a message that others have changed while the turn
   * runs has nothing of the recording in it, unless the turn was taken for dead before.
   */
  async function continuedBy({ id, questionId }: RecordedTurn): Promise<string[] | undefined> {
    const chat = await load({ limit: 1, upTo: questionId, forTurn: true });
    const running = chat?.turns.find((turn) => turn.id === id && !turn.isInterrupted);
    const continued = chat?.rows.find((row) => row.id === questionId);
    const before = running && continued && messageBefore(continued, running);
    return before && eventsOf(before);
  }

  /** What there is to tell of a turn that is over before anything of it was told: the turn that took its place, or its stored answer. */
  async function* instead(turn: RecordedTurn, signal: AbortSignal): AsyncGenerator<string, void, void> {
    const { id, questionId, answerId } = turn;
    const newer = await read({ position: 0 });
    if (newer && newer.turn.id !== id && newer.turn.questionId === questionId) return yield* live(newer, signal);
    const chat = await load({ limit: 1, upTo: answerId, forTurn: true });
    const answer = chat?.rows.find((row) => row.id === answerId);
    if (answer) {
      const isInterrupted = chat?.turns.some((turn) => turn.recoveredDigest === digestOf(answer));
      return yield* whole(answer, isInterrupted ? interruption : { type: "finish" });
    }
    // Nothing was said; or the chat is gone, or another user's now.
    if (!chat) yield toSseEvent(interruption);
    yield doneEvent;
  }

  /** What a client needs before the recording of an answer: its start, where something else was recorded first. */
  function startOf({ answerId }: RecordedTurn, texts: string[]): string[] {
    const [first] = parseStreamChunks(texts.slice(0, 1));
    return first?.type === "start" ? [] : [toSseEvent({ type: "start", messageId: answerId })];
  }

  /** Texts as the bytes of a response's body. While nobody reads, nothing is asked of the database. */
  function streamOf(textsUntil: (signal: AbortSignal) => AsyncIterable<string>) {
    const encoder = new TextEncoder();
    const cancelled = new AbortController();
    const texts = (async function* () {
      yield* textsUntil(cancelled.signal);
    })();
    return new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const { done, value } = await withTypedErrors("resumeTurn", context.tables, texts.next());
          if (done) controller.close();
          else controller.enqueue(encoder.encode(value));
        },
        cancel: () => cancelled.abort(),
      },
      { highWaterMark: 0 },
    );
  }
}

/** It seems dead by its silence alone, which may be the database's own. */
const isSilent = ({ isStale, isAbandoned }: RecordedTurn) => isStale && !isAbandoned;

/** A stored message, as the SDK streams it. */
async function* whole(row: MessageRow, end: object): AsyncGenerator<string, void, void> {
  yield* await eventsOf(row);
  yield toSseEvent(end);
  yield doneEvent;
}

async function eventsOf(row: MessageRow): Promise<string[]> {
  return toStreamChunks(toMessage(row), await installedProtocol()).map(toSseEvent);
}

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", done);
  });
}

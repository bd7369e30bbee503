import type { ReceivedAnswer, ReceivedAnswers } from "./received-answers.ts";
import { ChatRequestError, lostConnection } from "./request-error.ts";

/** Milliseconds until the server is asked again, doubled each time, and how often. */
const repeats = { first: 100, count: 6 };
/** Milliseconds within which the server has to respond, and then to end the stream. */
const patience = 5_000;

interface StopOptions {
  answers: ReceivedAnswers;
  /** Asks the server. With `messageId`, to stop only the turn that answers or writes this message. */
  ask: (messageId: string | undefined, signal: AbortSignal) => Promise<boolean>;
}

/**
 * Stops the answer on the server. Does not stop listening: the stream then ends by itself, with just what is stored.
 *
 * Asks again while the page still receives an answer of which the server knows nothing yet, because its question is not
 * stored. Stops listening if the server does not respond.
 */
export async function stopAnswer(chatId: string, { answers, ask }: StopOptions): Promise<boolean> {
  for (let attempt = 0; ; attempt++) {
    const received = answers.of(chatId);
    let isStopped: boolean;
    try {
      isStopped = await ask(received.at(-1)?.messageId, AbortSignal.timeout(patience));
    } catch (error) {
      cut(answers.of(chatId));
      // A request that takes too long rejects with the reason of its signal.
      throw error instanceof ChatRequestError ? error : lostConnection(error);
    }
    if (isStopped) {
      // Only those of now: by then, the page may have asked another question.
      void withinTime(patience, allEnded(received)).then(() => cut(received));
      return true;
    }
    if (answers.of(chatId).length === 0) return false;
    if (attempt === repeats.count) {
      cut(answers.of(chatId));
      return false;
    }
    await withinTime(repeats.first * 2 ** attempt, allEnded(received));
  }
}

function cut(answers: readonly ReceivedAnswer[]): void {
  for (const answer of answers) answer.cut();
}

const allEnded = (answers: readonly ReceivedAnswer[]) => Promise.all(answers.map(({ ended }) => ended));

/** Resolves when the promise does, or after some milliseconds. */
async function withinTime(milliseconds: number, promise: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeUp = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  await Promise.race([promise, timeUp]);
  clearTimeout(timer);
}

/** Milliseconds until the first attempt, doubled for each further one, and at most. */
const delays = { first: 500, longest: 30_000 };
/** Timers cannot be longer. */
const longestTimer = 2 ** 31 - 1;

/** Calls a function again later, each time after a longer while. */
export interface Retry {
  /** @param seconds - for which the server wants to be left alone, at least. */
  plan(seconds: number | null | undefined): void;
  /** It has succeeded: nothing is planned any more, and the next one comes soon again. */
  reset(): void;
  cancel(): void;
}

export function createRetry(attempt: () => void): Retry {
  let delay = delays.first;
  let timer: ReturnType<typeof setTimeout> | undefined;
  return {
    plan(seconds) {
      clearTimeout(timer);
      timer = setTimeout(attempt, Math.min(Math.max(delay, (seconds ?? 0) * 1_000), longestTimer));
      delay = Math.min(delay * 2, delays.longest);
    },
    reset() {
      clearTimeout(timer);
      delay = delays.first;
    },
    cancel: () => clearTimeout(timer),
  };
}

/** Milliseconds until the first attempt, doubled for each further one, and at most. */
const delays = { first: 500, longest: 30_000 };

/** Calls a function again later, each time after a longer while. */
export interface Retry {
  plan(): void;
  /** It has succeeded: nothing is planned any more, and the next one comes soon again. */
  reset(): void;
  cancel(): void;
}

export function createRetry(attempt: () => void): Retry {
  let delay = delays.first;
  let timer: ReturnType<typeof setTimeout> | undefined;
  return {
    plan() {
      clearTimeout(timer);
      timer = setTimeout(attempt, delay);
      delay = Math.min(delay * 2, delays.longest);
    },
    reset() {
      clearTimeout(timer);
      delay = delays.first;
    },
    cancel: () => clearTimeout(timer),
  };
}

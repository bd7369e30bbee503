/** While a run is under way, any number of calls are this one. */
export const share = (run: () => Promise<void>): (() => Promise<void>) => shareThen(() => {}, run);

/** As `share`. When `onEnd` tells of the end, the next call begins a new run: a listener may call at once. */
export function shareThen(onEnd: () => void, run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => {
    running ??= run().finally(() => {
      running = undefined;
      onEnd();
    });
    return running;
  };
}

/**
 * While a run is under way, any number of calls are one further run, which begins when the first has ended: it finds what has
 * changed meanwhile.
 */
export function coalesce(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  return function call(): Promise<void> {
    if (!running) {
      running = run().finally(() => {
        running = undefined;
      });
      return running;
    }
    const again = () => {
      next = undefined;
      return call();
    };
    next ??= running.then(again, again);
    return next;
  };
}

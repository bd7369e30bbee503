/** How many streams a user may have at once: answers that are being generated, and requests that follow one. */
const mostStreams = 10;

// Next loads this module more than once.
const shared = globalThis as typeof globalThis & { openStreams?: Map<string, number> };
shared.openStreams ??= new Map();
const streams = shared.openStreams;

export class TooManyStreams extends Error {}

/**
 * Counts one more stream of the user until the function that it returns is called. Throws if there are too many.
 *
 * This counts in one process, and here anybody can be a new user. A real deployment has a limiter in front that also knows
 * addresses, or counts in a store that all of its processes share.
 */
export function openStream(userId: string): () => void {
  const open = streams.get(userId) ?? 0;
  if (open >= mostStreams) throw new TooManyStreams();
  streams.set(userId, open + 1);
  return () => {
    const left = (streams.get(userId) ?? 1) - 1;
    if (left === 0) streams.delete(userId);
    else streams.set(userId, left);
  };
}

/** The same stream. Calls `close` when it has ended, has failed, or its reader has gone. */
export function closing<T>(stream: ReadableStream<T>, close: () => void): ReadableStream<T> {
  const { readable, writable } = new TransformStream<T, T>();
  void stream
    .pipeTo(writable)
    .catch(() => {})
    .finally(close);
  return readable;
}

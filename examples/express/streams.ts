import { HttpError } from "./errors.ts";

/** How many streams a user may have at once: answers that are being generated, and requests that follow one. */
const mostStreams = 10;

const streams = new Map<string, number>();

/**
 * Runs what sends one stream to a user, or refuses with 429. An answer counts until it is stored, also when its client has gone.
 *
 * This counts in one process, and here anybody can be a new user. A real deployment has a limiter in front that also knows
 * addresses, or counts in a store that all of its processes share.
 */
export async function asOneStream(userId: string, send: () => Promise<void>): Promise<void> {
  const open = streams.get(userId) ?? 0;
  if (open >= mostStreams) throw new HttpError(429, "You have too many answers open. Wait until one has ended.");
  streams.set(userId, open + 1);
  try {
    await send();
  } finally {
    const left = (streams.get(userId) ?? 1) - 1;
    if (left === 0) streams.delete(userId);
    else streams.set(userId, left);
  }
}

/**
 * Waits until `look` gives a truthy value, and gives that. Looks again after 20 ms each time, for two minutes: longer than
 * any machine needs, so that what fails here has not happened at all. Imports nothing: programs on other runtimes use it, too.
 *
 * @throws an error that names `what`, with the last error of `look` as its cause
 */
export async function eventually<T>(
  what: string,
  look: () => T | Promise<T>,
  { seconds = 120, every = 20 } = {},
): Promise<NonNullable<T>> {
  let cause: unknown;
  for (const deadline = Date.now() + seconds * 1_000; Date.now() < deadline; await sleep(every)) {
    try {
      const found = await look();
      if (found) return found;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
  }
  throw new Error(`This did not happen within ${seconds} s: ${what}.`, { cause });
}

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

import { randomInt } from "node:crypto";
import fc from "fast-check";
import { beforeAll, beforeEach, expect } from "vitest";
import { isLong } from "./long-run.ts";
import { createRandom, type Random } from "./random.ts";

/** The same in each run, so that a change is not held up by a defect that was there before it. Another one in each long run. */
const seed = Number(process.env.SEED ?? (isLong ? randomInt(1, 2 ** 31) : 1));

/** The random choices of a test file: those that it makes with what this gives, and fast-check's, other ones in each test. */
export function seeded(): Random {
  beforeAll(() => console.log(`SEED=${seed}`));
  beforeEach(({ onTestFailed }) => {
    fc.configureGlobal({ seed: seed ^ hash(expect.getState().currentTestName ?? "") });
    // Not to the console, which some tests watch.
    onTestFailed(({ task }) => {
      for (const error of task.result?.errors ?? []) error.message += `\nSEED=${seed} makes the same choices again.`;
    });
  });
  // Not from the seed itself, as the first numbers after small seeds are small.
  return createRandom(seed).fork();
}

const hash = (text: string) =>
  [...text].reduce((sum, character) => (sum * 31 + (character.codePointAt(0) ?? 0)) | 0, 7);

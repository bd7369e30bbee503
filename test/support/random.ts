/** Choices that a seed repeats. */
export interface Random {
  /** A whole number from 0 on. */
  below(limit: number): number;
  chance(probability: number): boolean;
  pick<T>(values: readonly T[]): T;
  /** The choices of one actor, which do not depend on how often the others have chosen meanwhile. */
  fork(): Random;
  /** For a process of its own. */
  seed(): number;
}

const modulus = 2_147_483_647;

export function createRandom(seed: number): Random {
  let state = Math.abs(seed) % modulus || 1;
  const next = () => {
    state = (state * 48_271) % modulus;
    return state;
  };
  const below = (limit: number) => next() % limit;
  return {
    below,
    chance: (probability) => next() < probability * modulus,
    pick: (values) => {
      if (values.length === 0) throw new Error("There is nothing to pick from.");
      return values[below(values.length)] as (typeof values)[number];
    },
    fork: () => createRandom(next()),
    seed: next,
  };
}

/** Letters that Unicode maps to a single letter, and JavaScript to several: `toLowerCase` gives "İ" a separate dot. */
const exceptions = new Map([["İ", "i"]]);

/** Ranges of code points that contain letters with cases. Chinese, Korean, cuneiform and the like lie between them. */
const ranges = [
  [0, 0x2e80],
  [0xa640, 0xac00],
  [0xfb00, 0x12000],
  [0x16d00, 0x17000],
  [0x1e000, 0x1f000],
] as const;
const end = 0x1f000;

interface LetterCases {
  /** By code point: the code point that represents all cases of the letter, or 0 if the letter has a single case. */
  representatives: Uint32Array;
  /** By representative: all cases of the letter. */
  cases: Map<number, string[]>;
}

/** Computed by the first search, and not when the package is loaded, because it takes some milliseconds. */
let cached: LetterCases | undefined;

/**
 * Letters that differ only in case: not only "k" and "K", but also the Kelvin sign, both small sigmas, "ß" and "ẞ". A
 * letter equals single letters only: "ß" does not equal "SS", although that is its upper case.
 */
function letterCases(): LetterCases {
  cached ??= computeLetterCases();
  return cached;
}

function computeLetterCases(): LetterCases {
  const groups = new Map<string, string[]>();
  for (const [from, to] of ranges) {
    for (let point = from; point < to; point++) {
      const letter = String.fromCodePoint(point);
      const lower = letter.toLowerCase();
      if (lower === letter && letter.toUpperCase() === letter) continue;
      const key = exceptions.get(letter) ?? lower.toUpperCase().toLowerCase();
      const group = groups.get(key);
      if (group) group.push(letter);
      else groups.set(key, [letter]);
    }
  }
  const representatives = new Uint32Array(end);
  const cases = new Map<number, string[]>();
  for (const group of groups.values()) {
    const points = group.map((letter) => letter.codePointAt(0) ?? 0);
    const [representative = 0] = points;
    cases.set(representative, group);
    for (const point of points) representatives[point] = representative;
  }
  return { representatives, cases };
}

/** Returns a function that maps all cases of a letter, and no other character, to the same code point. */
export function caseFolder(): (point: number) => number {
  const { representatives } = letterCases();
  return (point) => representatives[point] || point;
}

/** A character in all its cases, which have equally many code units. */
export function allCases(character: string): string[] {
  const { cases } = letterCases();
  return cases.get(caseFolder()(character.codePointAt(0) ?? 0)) ?? [character];
}
